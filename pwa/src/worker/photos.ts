// The way of this device's photos to the server (S10): which of them belong to a saved visit, one upload at a
// time in small parts, and the server's word before a photo counts as sent. Fetches photos of other people's
// visits. Knows the store and the account; asks the core only what a visit holds.

import { type Account, CallFailure, type HeldAnswer, type Uploads } from './account.ts';
import type { DocId, Edit, SyncState } from '../generated/types.ts';
import type { OwnPhoto, PictureSize } from './messages.ts';
import { hashOf, thumbnail } from './photo.ts';
import type { PhoneStore } from './store.ts';

/** Bytes of one part: four seconds at 30 kB/s, and all that is sent again after a cut. */
const PART_BYTES = 128 * 1024;
/** After a cut: 2 s, doubling to one minute. A press of "sync now" or a new connection begins anew. */
const PAUSE_MS_MIN = 2_000;
const PAUSE_MS_MAX = 60_000;
/** A photo in no form and no visit is forgotten after this: longer than any tab takes to keep its draft. */
const ORPHAN_MS = 600_000;
/** Originals kept beyond the unsent ones, at 300 kB: 30 MB. */
const ORIGINALS_MAX = 100;
/** Thumbnails kept, at 20 kB: 40 MB. */
const THUMBS_MAX = 2_000;
const INCARNATION = 'photos/incarnation';

/** What the core says of a visit: which photos it shows and how far it has come. None if it is not here. */
export type VisitPhotos = { photos: string[]; sync: SyncState } | null;

export type PhotosEvents = {
  /** How many photos the server has not verified. */
  pending: (count: number) => void;
  visit: (id: DocId) => VisitPhotos;
  /** What the person typed and the server refused, still kept. */
  refused: () => Edit[];
};

export class Photos {
  /** Everything that is not sent. */
  private unsent: OwnPhoto[] = [];
  private reviewing = false;
  private again = false;
  private uploading = false;
  private pause_ms = PAUSE_MS_MIN;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stopped = false;

  constructor(
    private readonly store: PhoneStore,
    private readonly account: Account,
    private readonly events: PhotosEvents,
  ) {}

  /** Counts what waits and forgets what no form and no visit holds any more. */
  async open(): Promise<void> {
    await this.reload();
    const drafts = await this.draftForms();
    for (const photo of this.unsent) {
      if (photo.state !== 'draft' || Date.now() - photo.added < ORPHAN_MS) continue;
      if (!this.isShown(photo) && !drafts.some((form) => form.includes(photo.info.sha256))) {
        await this.store.changePhoto(photo.info.sha256, () => null);
      }
    }
    await this.reload();
    this.review();
  }

  /** Another tab has added a photo. */
  async reload(): Promise<void> {
    this.unsent = (await this.store.photos()).filter((photo) => photo.state !== 'sent');
    if (!this.stopped) this.events.pending(this.unsent.length);
  }

  /** Something changed: a visit may have been saved, or have reached the server. */
  review(): void {
    if (this.stopped || this.unsent.length === 0) return;
    this.again = true;
    if (!this.reviewing) void this.reviewAll();
  }

  /** The network seems to be back: do not wait out the pause. */
  nudge(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.pause_ms = PAUSE_MS_MIN;
    this.review();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /** The person took a photo out of a form. It goes, unless a visit or another form holds it. */
  async drop(visit: DocId, sha256: string): Promise<void> {
    const shown = this.events.visit(visit)?.photos.includes(sha256) === true || this.isRefused(sha256);
    if (!shown) {
      await this.store.changePhoto(sha256, (photo) => {
        if (photo.state === 'sent') return photo;
        const visits = photo.visits.filter((one) => one !== visit);
        return visits.length === 0 ? null : { ...photo, visits };
      });
    }
    await this.reload();
  }

  /** The person threw a form away, and with it the photos that only it held. */
  async dropDraft(visit: DocId): Promise<void> {
    for (const photo of await this.store.photos()) {
      if (photo.state === 'draft' && photo.visits.includes(visit)) await this.drop(visit, photo.info.sha256);
    }
  }

  /** A photo that is not on this device, for whoever may read the visit that shows it. */
  async fetch(sha256: string, visit: DocId, size: PictureSize): Promise<Blob> {
    const blob = await this.account.file(sha256, visit);
    if ((await hashOf(blob)) !== sha256) throw new CallFailure('server_error');
    const thumb = await thumbnail(blob);
    await this.store.keepSeen(sha256, blob, thumb);
    await this.store.evict('originals', ORIGINALS_MAX);
    await this.store.evict('thumbs', THUMBS_MAX);
    return size === 'thumbs' ? thumb : blob;
  }

  /** Offers every photo again whose original is still here, if the server is another than before (FILE-8). */
  async met(incarnation: string): Promise<void> {
    const known = await this.store.note(INCARNATION);
    if (known === incarnation) return;
    if (known !== undefined) {
      for (const photo of await this.store.photos()) {
        const sha256 = photo.info.sha256;
        if (photo.state !== 'sent' || (await this.store.bytes(sha256, 'originals')) === null) continue;
        await this.store.changePhoto(sha256, (one) => ({ ...one, state: 'saved' }));
      }
    }
    await this.store.putNote(INCARNATION, incarnation);
    await this.reload();
    this.review();
  }

  /**
   * Sends everything unsent through another door, whatever became of its visit. One whose bytes are damaged has
   * nothing to send.
   */
  async handOver(door: Uploads): Promise<void> {
    await this.reload();
    for (const photo of this.unsent) if (photo.state !== 'damaged') await this.send(photo, door);
    await this.reload();
  }

  private async reviewAll(): Promise<void> {
    this.reviewing = true;
    try {
      while (this.again && !this.stopped) {
        this.again = false;
        await this.claim();
      }
    } catch {
      // The disk did not take it; the next change reviews again.
    }
    this.reviewing = false;
    void this.upload();
  }

  /** A photo that a saved visit shows is no longer the form's; one that its visit gave up goes. */
  private async claim(): Promise<void> {
    let moved = false;
    for (const photo of this.unsent) {
      if (photo.state === 'draft' && this.isShown(photo)) {
        await this.store.changePhoto(photo.info.sha256, (one) => ({ ...one, state: 'saved' }));
        moved = true;
      } else if (photo.state !== 'draft' && (await this.isGivenUp(photo))) {
        await this.store.changePhoto(photo.info.sha256, () => null);
        moved = true;
      }
    }
    if (moved) await this.reload();
  }

  private isShown(photo: OwnPhoto): boolean {
    const { sha256 } = photo.info;
    return photo.visits.some((visit) => this.events.visit(visit)?.photos.includes(sha256)) || this.isRefused(sha256);
  }

  /** Every visit that showed it is here and shows it no more. A visit that has left the phone proves nothing. */
  private async isGivenUp(photo: OwnPhoto): Promise<boolean> {
    const { sha256 } = photo.info;
    const gave = photo.visits.every((visit) => this.events.visit(visit)?.photos.includes(sha256) === false);
    if (!gave || this.isRefused(sha256)) return false;
    return !(await this.draftForms()).some((form) => form.includes(sha256));
  }

  private isRefused(sha256: string): boolean {
    return this.events.refused().some((edit) => 'fields' in edit && Object.values(edit.fields).includes(sha256));
  }

  private async draftForms(): Promise<string[]> {
    return (await this.store.drafts()).map((draft) => draft.form);
  }

  /** Whether its visit is on the server, or has been and left this phone since. */
  private isDue(photo: OwnPhoto): boolean {
    if (photo.state !== 'saved') return false;
    return photo.visits.some((id) => {
      const visit = this.events.visit(id);
      return visit === null || visit.sync === 'server' || visit.sync === 'accepted';
    });
  }

  /** One after another, until none is due or the network is cut. */
  private async upload(): Promise<void> {
    if (this.uploading || this.stopped || this.timer !== undefined) return;
    this.uploading = true;
    try {
      for (;;) {
        const next = this.unsent.find((photo) => this.isDue(photo));
        if (next === undefined || this.stopped) break;
        await this.send(next, this.account);
        this.pause_ms = PAUSE_MS_MIN;
        await this.reload();
      }
    } catch {
      this.timer = setTimeout(
        () => {
          this.timer = undefined;
          void this.upload();
        },
        this.pause_ms * (0.5 + Math.random() / 2),
      );
      this.pause_ms = Math.min(PAUSE_MS_MAX, this.pause_ms * 2);
    }
    this.uploading = false;
  }

  /** Sends what the server lacks of one photo. Only its word that it holds the whole makes the photo sent. */
  private async send(photo: OwnPhoto, uploads: Uploads): Promise<void> {
    const { sha256 } = photo.info;
    const blob = await this.store.bytes(sha256, 'originals');
    if (blob === null || (await hashOf(blob)) !== sha256) {
      await this.store.changePhoto(sha256, (one) => ({ ...one, state: 'damaged' }));
      return;
    }
    let answer: HeldAnswer = await uploads.held(sha256);
    while (!answer.whole) {
      if (this.stopped) return;
      const offset = answer.held;
      const part = await blob.slice(offset, offset + PART_BYTES).arrayBuffer();
      answer = await uploads.putPart(sha256, offset, blob.size, part);
    }
    await this.store.changePhoto(sha256, (one) => ({ ...one, state: 'sent' }));
    await this.store.evict('originals', ORIGINALS_MAX);
  }
}
