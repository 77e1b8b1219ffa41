// Makes a photo small enough for a weak signal and names it by its content. Knows no store.

import type { Shot } from './store.ts';

/** Pixels of the longer side: a price list stays readable, and a photo has about 300 kB. */
const SIDE_MAX = 1800;
const QUALITY = 0.82;
/** Pixels of a thumbnail's longer side: sharp at 110 points on a phone, about 20 kB. */
const THUMB_SIDE_MAX = 360;
const THUMB_QUALITY = 0.75;

/** The photo as JPEG, large and small, with its SHA-256 and size. */
export async function shoot(file: Blob, taken: string): Promise<Shot> {
  const bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' });
  const full = await drawn(bitmap, SIDE_MAX, QUALITY);
  const thumb = await drawn(bitmap, THUMB_SIDE_MAX, THUMB_QUALITY);
  bitmap.close();
  const sha256 = await hashOf(full.blob);
  const { blob, width, height } = full;
  return { info: { sha256, bytes: blob.size, width, height, taken }, blob, thumb: thumb.blob };
}

/** A small picture of a photo. */
export async function thumbnail(photo: Blob): Promise<Blob> {
  const bitmap = await createImageBitmap(photo);
  const { blob } = await drawn(bitmap, THUMB_SIDE_MAX, THUMB_QUALITY);
  bitmap.close();
  return blob;
}

/** The SHA-256 of a photo's bytes, in hexadecimal digits: its name. */
export async function hashOf(photo: Blob): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await photo.arrayBuffer()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function drawn(bitmap: ImageBitmap, side_max: number, quality: number) {
  const scale = Math.min(1, side_max / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('no canvas');
  context.drawImage(bitmap, 0, 0, width, height);
  return { blob: await canvas.convertToBlob({ type: 'image/jpeg', quality }), width, height };
}
