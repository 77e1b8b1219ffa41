// Drives the core in the one tab that writes: stores before anything is answered, dials, sends, wakes by
// timer. One `match` over the core's outputs. Knows no screen and no rule of the domain.

import { Account, CallFailure, type LoginAnswer } from './account.ts';
import { type Bridge, type CoreOutput, now, openBridge, outcomeOf } from './core.ts';
import { Link } from './link.ts';
import type { Call, FailureCode, Outcome } from './messages.ts';
import { FencedError, type PhoneStore } from './store.ts';

export type WriterEvents = {
  changed: () => void;
  disk: (ok: boolean) => void;
  /** The writer must stop: another tab has taken over, or the core broke. */
  over: (why: string) => void;
};

type Session = { device: string };

/** An intent whose effect is in the core but not yet on disk. */
type Waiting = { tab: string; n: number; answer: (outcome: Outcome) => void; outcome: Outcome };

const DONE: Outcome = { ok: true, value: null };

function failure(code: FailureCode): Outcome {
  return { ok: false, problem: { kind: 'failure', code } };
}

export class Writer {
  private readonly account = new Account();
  private readonly link: Link;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private waiting: Waiting[] = [];
  private stopped = false;

  private constructor(
    private readonly bridge: Bridge,
    private readonly store: PhoneStore,
    private readonly done: Map<string, number>,
    private readonly events: WriterEvents,
  ) {
    this.link = new Link(this.account, {
      connected: (ticket) => this.run(() => this.bridge.connected(now(), ticket)),
      frame: (frame) => this.run(() => this.bridge.frame(now(), frame)),
      lost: () => this.run(() => this.bridge.disconnected(now())),
      loginEnded: () => this.run(() => this.bridge.login_ended(now())),
    });
  }

  /** Takes the store over from whoever wrote before and opens the core over it. */
  static async open(store: PhoneStore, events: WriterEvents): Promise<Writer> {
    await store.claim();
    const [rows, done] = await Promise.all([store.rows(), store.intents()]);
    const writer = new Writer(openBridge(rows.keys, rows.values), store, done, events);
    await writer.countPhotos();
    return writer;
  }

  /** Answers a call of a tab, once: what is on disk already is not done a second time. */
  async call(tab: string, n: number, call: Call): Promise<Outcome> {
    switch (call.type) {
      case 'query':
        return { ok: true, value: this.query(JSON.stringify(call.query)) };
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
        return this.plain(() => this.bridge.nudge(now()));
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
      case 'rescue':
        return { ok: true, value: new Blob([this.bridge.export() as Uint8Array<ArrayBuffer>]) };
      default:
        return failure('bug');
    }
  }

  /** Tells the core how many photos wait on this device. */
  async countPhotos(): Promise<void> {
    const photos = await this.store.photos();
    this.run(() => this.bridge.photos(now(), photos.length));
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.link.hangUp();
  }

  private query(query: string): unknown {
    const answer = JSON.parse(this.bridge.query(now(), query)) as { value: unknown };
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
        void this.write(output);
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
      if (problem instanceof FencedError) {
        this.stop();
        this.events.over('fenced');
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
    await this.store.putNote('session', { device: answer.device } satisfies Session);
    let taken = false;
    this.run(() => {
      taken = this.bridge.login(now(), JSON.stringify(profileOf(answer)));
    });
    if (!taken) {
      await this.account.logout();
      return failure('other_person');
    }
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
