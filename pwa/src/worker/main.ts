// A tab's worker. The tabs of one browser choose one writer by a lock; the others pass their calls to it
// over a channel and keep each until it is answered, so that a tab that takes over loses no keystroke.

import { constants, load, loadReadings } from './core.ts';
import type { Call, FromWorker, Outcome, Constants, TabMessage, ToWorker } from './messages.ts';
import { shoot } from './photo.ts';
import { PhoneStore } from './store.ts';
import { Writer } from './writer.ts';

const LOCK = 'daybook-writer';
/** A writer that does not answer for this long is taken over: a stuck tab, a stopped process. */
const ANSWER_MS_MAX = 900;
const READINGS_RETRY_MS = 30_000;
/** Calls that wait for the server; everything else is answered by the writer's own disk. */
const AT_THE_SERVER: Call['type'][] = [
  'login',
  'logout',
  'devices',
  'revoke_device',
  'restore_device',
  'hand_over',
  'photo_get',
];

const tab = crypto.randomUUID();
const channel = new BroadcastChannel('daybook');
const store = new PhoneStore();

let writer: Writer | null = null;
let ready: Constants | null = null;
/** Calls passed to another tab's writer, by number, in order of asking. */
const passed = new Map<number, Call>();
/** Drafts thrown away before this tab's writer stood: it lets go of their photos. */
const droppedEarly: string[] = [];
let watch: ReturnType<typeof setTimeout> | undefined;
let changed = false;

function tell(message: FromWorker): void {
  self.postMessage(message);
}

function broadcast(message: TabMessage): void {
  channel.postMessage(message);
}

/** Many changes in one turn are one question to the screen. */
function tellChanged(): void {
  if (changed) return;
  changed = true;
  setTimeout(() => {
    changed = false;
    tell({ type: 'changed' });
  }, 16);
}

function isOwn(call: Call): boolean {
  return ['draft_put', 'draft_delete', 'drafts', 'photo_add', 'photo_also', 'photos'].includes(call.type);
}

async function own(call: Call): Promise<unknown> {
  switch (call.type) {
    case 'draft_put':
      await store.putDraft(call.draft);
      broadcast({ type: 'drafts_changed' });
      return null;
    case 'draft_delete':
      await store.deleteDraft(call.id);
      if (writer !== null) await writer.photos.dropDraft(call.id);
      else droppedEarly.push(call.id);
      broadcast({ type: 'draft_deleted', id: call.id });
      return null;
    case 'drafts':
      return store.drafts();
    case 'photo_add': {
      const shot = await shoot(call.file, call.taken);
      await store.addPhoto(shot, call.visit);
      if (writer !== null) await writer.photos.reload();
      else broadcast({ type: 'photos_changed' });
      return shot.info;
    }
    case 'photo_also':
      await store.showPhotoIn(call.sha256, call.visit);
      if (writer !== null) await writer.photos.reload();
      else broadcast({ type: 'photos_changed' });
      return null;
    case 'photos':
      return store.photos();
    default:
      throw new Error('not a call of this tab');
  }
}

async function answer(n: number, call: Call): Promise<void> {
  if (isOwn(call)) {
    try {
      tell({ type: 'reply', n, outcome: { ok: true, value: await own(call) } });
    } catch {
      tell({ type: 'reply', n, outcome: { ok: false, problem: { kind: 'failure', code: 'store_failed' } } });
    }
    return;
  }
  if (call.type === 'photo_get') {
    const bytes = await store.bytes(call.sha256, call.size).catch(() => null);
    if (bytes !== null) return tell({ type: 'reply', n, outcome: { ok: true, value: bytes } });
  }
  passed.set(n, call);
  if (writer !== null) await perform(n, call);
  else if (ready !== null) pass(n, call);
}

async function perform(n: number, call: Call): Promise<void> {
  if (writer === null) return;
  const outcome = await writer.call(tab, n, call);
  finish(n, outcome);
}

function finish(n: number, outcome: Outcome): void {
  if (!passed.delete(n)) return;
  tell({ type: 'reply', n, outcome });
  if (passed.size === 0) clearTimeout(watch);
}

function pass(n: number, call: Call): void {
  broadcast({ type: 'call', tab, n, call });
  if (!AT_THE_SERVER.includes(call.type)) {
    clearTimeout(watch);
    watch = setTimeout(() => void takeOver(true), ANSWER_MS_MAX);
  }
}

async function heard(message: TabMessage): Promise<void> {
  switch (message.type) {
    case 'call':
      if (writer !== null) {
        const outcome = await writer.call(message.tab, message.n, message.call);
        broadcast({ type: 'reply', tab: message.tab, n: message.n, outcome });
      }
      return;
    case 'reply':
      if (message.tab === tab) finish(message.n, message.outcome);
      return;
    case 'who':
      if (writer !== null && ready !== null) broadcast({ type: 'writer', constants: ready });
      return;
    case 'writer':
      if (writer !== null) return;
      if (ready === null) {
        ready = message.constants;
        tell({ type: 'ready', constants: ready, writer: false });
      }
      for (const [n, call] of passed) pass(n, call);
      tellChanged();
      return;
    case 'changed':
      tellChanged();
      return;
    case 'disk':
      tell({ type: 'disk', ok: message.ok });
      return;
    case 'wiped':
    case 'left':
    case 'drafts_changed':
      tell(message);
      return;
    case 'draft_deleted':
      tell({ type: 'drafts_changed' });
      await writer?.photos.dropDraft(message.id);
      return;
    case 'photos_changed':
      await writer?.photos.reload();
  }
}

/** Holds the lock for as long as this tab writes. `steal` takes it from a writer that does not answer. */
async function takeOver(steal: boolean): Promise<void> {
  if (writer !== null) return;
  try {
    await navigator.locks.request(LOCK, steal ? { steal: true } : {}, write);
  } catch {
    // Stolen: another tab writes from here on. The store itself refuses whatever this one still tries.
    if (writer !== null) resign();
  }
}

/** A first visit may be cut off before this file came; a search by name, code or number needs none of it. */
function hearReadings(): void {
  loadReadings().then(tellChanged, () => setTimeout(hearReadings, READINGS_RETRY_MS));
}

function resign(): void {
  writer?.stop();
  writer = null;
  broadcast({ type: 'who' });
  void takeOver(false);
}

async function write(): Promise<void> {
  await new Promise<void>((_, reject) => {
    void begin(reject);
  });
}

async function begin(release: (why: Error) => void): Promise<void> {
  try {
    await load();
    ready = constants();
    writer = await Writer.open(store, {
      changed: () => {
        tellChanged();
        broadcast({ type: 'changed' });
      },
      disk: (ok) => {
        tell({ type: 'disk', ok });
        broadcast({ type: 'disk', ok });
      },
      left: (left) => {
        tell({ type: 'left', left });
        broadcast({ type: 'left', left });
      },
      over: (why) => {
        if (why === 'wiped') {
          tell({ type: 'wiped' });
          broadcast({ type: 'wiped' });
        }
        if (why === 'wiped' || why === 'fenced') return release(new Error(why));
        tell({ type: 'fatal', why });
      },
    });
  } catch (problem) {
    tell({ type: 'fatal', why: problem instanceof Error ? problem.message : 'open' });
    return;
  }
  tell({ type: 'ready', constants: ready, writer: true });
  broadcast({ type: 'writer', constants: ready });
  tellChanged();
  for (const [n, call] of [...passed]) void perform(n, call);
  for (const id of droppedEarly.splice(0)) void writer.photos.dropDraft(id).catch(() => null);
  hearReadings();
  // Only Chromium has this; the others keep IndexedDB in databases that cut a torn end off.
  if ('userAgentData' in navigator) await store.renewLog().catch(() => null);
}

self.onmessage = (event: MessageEvent<ToWorker>) => {
  if (event.data.type === 'call') void answer(event.data.n, event.data.call);
  else {
    writer?.stop();
    self.close();
  }
};
channel.onmessage = (event: MessageEvent<TabMessage>) => void heard(event.data);
broadcast({ type: 'who' });
void takeOver(false);
