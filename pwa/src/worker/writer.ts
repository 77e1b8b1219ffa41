// Drives the core in the one tab that writes: stores before anything is answered, dials, sends, wakes by
// timer. One `match` over the core's outputs. Knows no screen and no rule of the domain.

import { Account, CallFailure, type LoginAnswer } from './account.ts';
import { type Bridge, type CoreOutput, now, openBridge, outcomeOf } from './core.ts';
import { Link } from './link.ts';
import type { Query, RefusedView, StatusView, VisitView } from '../generated/types.ts';
import type { Call, FailureCode, LeftBehind, Outcome } from './messages.ts';
import { Photos, type VisitPhotos } from './photos.ts';
import { FencedError, type PhoneStore, WipedError } from './store.ts';

export type WriterEvents = {
  changed: () => void;
  disk: (ok: boolean) => void;
  /** This device was switched off, has handed everything over, and is empty (S6). */
  left: (left: LeftBehind) => void;
  /** The writer must stop: another tab has taken over, or the core broke. */
  over: (why: string) => void;
};

/**
 * Rounds without a push after which handing over is given up until it is asked for again: refused work is written
 * down as unsent before it goes, and what waits in words for a customer that the server has lost has no bytes yet.
 */
const EMPTY_ROUNDS_MAX = 4;
const LEAVING = 'leaving';

/** Which installation this is, and whose forms and photos lie beside the core's rows. */
type Session = { device: string; person?: string };

/** An intent whose effect is in the core but not yet on disk. */
type Waiting = { tab: string; n: number; answer: (outcome: Outcome) => void; outcome: Outcome };

const DONE: Outcome = { ok: true, value: null };

function failure(code: FailureCode): Outcome {
  return { ok: false, problem: { kind: 'failure', code } };
}

export class Writer {
  readonly photos: Photos;
  private readonly account = new Account((incarnation) => void this.photos.met(incarnation).catch(() => null));
  private readonly link: Link;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private waiting: Waiting[] = [];
  private stopped = false;
  private last_write: Promise<void> = Promise.resolve();
  private leaving: Promise<Outcome> | null = null;

  private constructor(
    private readonly bridge: Bridge,
    private readonly store: PhoneStore,
    private readonly done: Map<string, number>,
    private readonly events: WriterEvents,
  ) {
    this.photos = new Photos(store, this.account, {
      pending: (count) => this.run(() => this.bridge.photos(now(), count)),
      visit: (id) => visitPhotos(this.query({ type: 'visit', id }) as VisitView | null),
      refused: () => (this.query({ type: 'refused' }) as RefusedView[]).map((one) => one.edit),
    });
    this.link = new Link(this.account, {
      connected: (ticket) => {
        this.run(() => this.bridge.connected(now(), ticket));
        this.photos.nudge();
      },
      frame: (frame) => this.run(() => this.bridge.frame(now(), frame)),
      lost: () => this.run(() => this.bridge.disconnected(now())),
      loginEnded: () => this.run(() => this.bridge.login_ended(now())),
      revoked: () => this.run(() => this.bridge.revoked(now())),
    });
  }

  /** Takes the store over from whoever wrote before and opens the core over it. */
  static async open(store: PhoneStore, events: WriterEvents): Promise<Writer> {
    await store.claim();
    const [rows, done] = await Promise.all([store.rows(), store.intents()]);
    const writer = new Writer(openBridge(rows.keys, rows.values), store, done, events);
    await writer.photos.open();
    return writer;
  }

  /** Answers a call of a tab, once: what is on disk already is not done a second time. */
  async call(tab: string, n: number, call: Call): Promise<Outcome> {
    switch (call.type) {
      case 'query':
        return { ok: true, value: this.query(call.query) };
      case 'edit':
        return this.intent(tab, n, () => outcomeOf(this.bridge.edit(now(), JSON.stringify(call.edit))));
      case 'command':
        return this.intent(tab, n, () => outcomeOf(this.bridge.command(now(), JSON.stringify(call.command))));
      case 'dismiss_refused':
        return this.plain(() => this.bridge.dismiss_refused(now(), call.edit_id));
      case 'dismiss_request':
        return this.plain(() => this.bridge.dismiss_request(now(), call.id));
      case 'dismiss_notice':
        return this.plain(() => this.bridge.dismiss_notice(now(), call.id));
      case 'wake':
        this.photos.nudge();
        return this.plain(() => this.bridge.nudge(now()));
      case 'photo_drop':
        return this.guard(async () => {
          await this.photos.drop(call.visit, call.sha256);
          return DONE;
        });
      case 'photo_get':
        return this.guard(async () => ({
          ok: true,
          value: await this.photos.fetch(call.sha256, call.visit, call.size),
        }));
      case 'login':
        return this.guard(() => this.login(call.name, call.password, call.label));
      case 'logout':
        return this.guard(() => this.logout());
      case 'devices':
        return this.guard(async () => ({ ok: true, value: await this.account.devices() }));
      case 'revoke_device':
        return this.guard(async () => {
          await this.account.revoke(call.id);
          return DONE;
        });
      case 'restore_device':
        return this.guard(async () => {
          await this.account.restore(call.id);
          return DONE;
        });
      case 'hand_over':
        this.leaving ??= this.guard(() => this.leave()).finally(() => {
          this.leaving = null;
        });
        return this.leaving;
      case 'rescue':
        return { ok: true, value: new Blob([this.bridge.export() as Uint8Array<ArrayBuffer>]) };
      default:
        return failure('bug');
    }
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.link.hangUp();
    this.photos.stop();
  }

  private query(query: Query): unknown {
    const answer = JSON.parse(this.bridge.query(now(), JSON.stringify(query))) as { value: unknown };
    return answer.value;
  }

  private plain(act: () => void): Outcome {
    this.run(act);
    return DONE;
  }

  private async guard(act: () => Promise<Outcome>): Promise<Outcome> {
    try {
      return await act();
    } catch (problem) {
      return failure(problem instanceof CallFailure ? problem.code : 'bug');
    }
  }

  /** Answers only after the store has confirmed what the intent changed. */
  private intent(tab: string, n: number, act: () => Outcome): Promise<Outcome> {
    if (n <= (this.done.get(tab) ?? 0)) return Promise.resolve({ ok: true, value: 0 });
    return new Promise((answer) => {
      this.run(() => {
        const outcome = act();
        if (!outcome.ok) answer(outcome);
        else this.waiting.push({ tab, n, answer, outcome });
      });
    });
  }

  /** One input to the core, then every output of it. A trap in the core ends this writer. */
  private run(act: () => void): void {
    if (this.stopped) return;
    try {
      act();
      for (;;) {
        const output = this.bridge.poll() as CoreOutput | undefined;
        if (output === undefined) break;
        this.carryOut(output);
      }
      this.schedule();
    } catch (trap) {
      this.stop();
      this.events.over(trap instanceof Error ? `${trap.name}: ${trap.message}` : 'core');
    }
  }

  private carryOut(output: CoreOutput): void {
    switch (output.type) {
      case 'store':
        this.last_write = this.write(output);
        return;
      case 'send':
        this.link.send(output.frame);
        return;
      case 'dial':
        void this.link.dial();
        return;
      case 'hang_up':
        this.link.hangUp();
        return;
      case 'changed':
        this.events.changed();
        this.photos.review();
    }
  }

  private async write(output: { id: number; puts: [string, Uint8Array][]; deletes: string[] }): Promise<void> {
    // The write that follows an intent holds all that the core had not written by then.
    const held = this.waiting;
    this.waiting = [];
    const intents = new Map<string, number>();
    for (const { tab, n } of held) intents.set(tab, Math.max(n, intents.get(tab) ?? 0));
    try {
      await this.store.write(output, intents);
    } catch (problem) {
      if (problem instanceof FencedError || problem instanceof WipedError) {
        this.stop();
        if (problem instanceof WipedError)
          for (const { answer } of [...held, ...this.waiting]) answer(failure('wiped'));
        this.events.over(problem instanceof WipedError ? 'wiped' : 'fenced');
        return;
      }
      this.waiting = [...held, ...this.waiting];
      this.events.disk(false);
      this.run(() => this.bridge.store_failed(now(), output.id));
      return;
    }
    for (const [tab, n] of intents) this.done.set(tab, n);
    this.run(() => this.bridge.stored(now(), output.id));
    for (const { answer, outcome } of held) answer(outcome);
    if (held.length > 0) this.events.disk(true);
  }

  private schedule(): void {
    clearTimeout(this.timer);
    const at = this.bridge.next_timeout();
    if (at === undefined) return;
    this.timer = setTimeout(() => this.run(() => this.bridge.timeout(now())), Math.max(0, at - performance.now()));
  }

  private async login(name: string, password: string, label: string): Promise<Outcome> {
    const session = (await this.store.note('session')) as Session | undefined;
    const answer = await this.account.login(name, password, label, session?.device ?? null);
    const person = answer.person.id;
    const is_other = session?.person !== undefined && session.person !== person;
    if (is_other && (await this.hasForms())) {
      await this.account.logout();
      return failure('other_person');
    }
    let taken = false;
    this.run(() => {
      taken = this.bridge.login(now(), JSON.stringify(profileOf(answer)));
    });
    if (!taken) {
      await this.account.logout();
      return failure('other_person');
    }
    await this.store.putNote('session', { device: answer.device, person } satisfies Session);
    if (is_other) await this.store.eraseForms();
    return DONE;
  }

  /** Whether somebody's drafts or unsent photos lie here. */
  private async hasForms(): Promise<boolean> {
    const [drafts, photos] = await Promise.all([this.store.drafts(), this.store.photos()]);
    return drafts.length > 0 || photos.some((photo) => photo.state !== 'sent');
  }

  /** Waits until nothing is being written any more. */
  private async written(): Promise<void> {
    for (let seen; seen !== this.last_write;) {
      seen = this.last_write;
      await seen;
    }
  }

  /**
   * This device was switched off (S6): photos, then everything unsent go through the one door that is open to it.
   * Only the server's word that it holds all of it lets the device empty itself; if the power goes before that, it
   * begins again, and what was handed over is known.
   */
  private async leave(): Promise<Outcome> {
    if (!this.bridge.is_revoked()) return failure('offline');
    const { pending, profile } = this.query({ type: 'status' }) as StatusView;
    // What goes may take several attempts, and is told of as one.
    const begun = ((await this.store.note(LEAVING)) ?? { edits: 0, photos: 0 }) as Omit<LeftBehind, 'name'>;
    const edits = Math.max(begun.edits, pending.edits + pending.refused);
    const photos = Math.max(begun.photos, pending.photos);
    await this.store.putNote(LEAVING, { edits, photos } satisfies Omit<LeftBehind, 'name'>);
    await this.photos.handOver(this.account.door);
    let state = 'goes';
    for (let without = 0; state === 'goes' && without < EMPTY_ROUNDS_MAX;) {
      let pushes = new Uint8Array();
      await this.written();
      this.run(() => {
        pushes = new Uint8Array(this.bridge.handover(now()));
      });
      without = pushes.length === 0 ? without + 1 : 0;
      const answer = await this.account.handOver(pushes);
      this.run(() => {
        state = this.bridge.handed_over(now(), answer);
      });
      await this.written();
    }
    if (state !== 'done') return failure('server_error');
    this.stop();
    await this.store.erase();
    await this.account.logout();
    this.events.left({ name: profile?.name ?? '', edits, photos });
    return DONE;
  }

  private async logout(): Promise<Outcome> {
    await this.account.logout();
    this.stop();
    await this.store.erase();
    this.events.over('logged_out');
    return DONE;
  }
}

function visitPhotos(visit: VisitView | null): VisitPhotos {
  if (visit === null) return null;
  const photos = (visit.records['photos'] ?? []).map((photo) => String(photo['sha256'] ?? ''));
  return { photos, sync: visit.entry.sync };
}

function profileOf(answer: LoginAnswer): unknown {
  const { person } = answer;
  const team = person.team === null ? null : { id: person.team, name: person.team_name ?? '' };
  return {
    person: { id: person.id, name: person.name, role: person.role, team: person.team, active: true },
    team,
    device: answer.device,
    server: self.location.origin,
  };
}
