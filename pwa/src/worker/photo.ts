// Makes a photo small enough for a weak signal and names it by its content. Knows no store.

import type { PhotoInfo } from './messages.ts';

/** Pixels of the longer side: a price list stays readable, and a photo has about 300 kB. */
const SIDE_MAX = 1800;
const QUALITY = 0.82;

/** The photo as JPEG, with its SHA-256 and size. */
export async function shrink(file: Blob, visit: string, taken: string): Promise<{ info: PhotoInfo; blob: Blob }> {
  const bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' });
  const scale = Math.min(1, SIDE_MAX / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('no canvas');
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: QUALITY });
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()));
  const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return { info: { sha256, bytes: blob.size, width, height, taken, visit }, blob };
}
