// The screen's side of the worker: calls with answers, live queries that ask again when something changed,
// and the stored first screen that shows before the core has compiled. Decides nothing.

import type { Answers, HomeView, Query, Role, StatusView } from '../generated/types.ts';
import type {
  Call,
  Constants,
  DocumentSchema,
  Draft,
  FieldSchema,
  FromWorker,
  Outcome,
  Problem,
  Results,
  ToWorker,
} from '../worker/messages.ts';
import { forgetUsed, keepLeft, keepUsed, wasUsed } from './left.ts';

/** Says that a call was refused or failed; `problem` holds the words or their key. */
export class CallProblem extends Error {
  constructor(readonly problem: Problem) {
    super(problem.kind === 'refusal' ? problem.rule : problem.code);
  }
}

type Waiter = { resolve: (value: unknown) => void; reject: (problem: CallProblem) => void; call: Call };
/** A question that is asked again; `again` resolves when an answer from after that moment was taken. */
type Live = { over: boolean; again: () => Promise<void> };

/** How often a worker whose core broke is started again before the person is told (PWA-8). */
const RESTARTS_MAX = 3;

class Core {
  /** The core answers questions. */
  ready = $state(false);
  /** The words of every rule and the schemas, from the core. */
  constants: Constants = $state.raw({ words: {}, schemas: [] });
  /** Set when the core broke again and again. */
  broken: string | null = $state(null);
  /** Set while the device's disk refuses writes. */
  diskFull = $state(false);
  /** Set when the browser cleared this device's storage under the running app. */
  wiped = $state(false);
  /** Set when this device's store came up empty although somebody was logged in (PWA-19). */
  lost = $state(false);
  drafts: Draft[] = $state.raw([]);
  status: StatusView | null = $state.raw(null);
  /** Whether the store has been looked at: before that, nobody knows if there is a login. */
  looked = $state(false);
  firstHome: HomeView | null = $state.raw(null);
  private roles: ReadonlyMap<string, Role> = $state.raw(new Map());

  private worker: Worker | null = null;
  private readonly waiters = new Map<number, Waiter>();
  private readonly lives = new Set<Live>();
  private standing: Live | null = null;
  private next = 1;
  private restarts = 0;

  start(): void {
    void this.readFirst();
    this.spawn();
    addEventListener('online', () => void this.call({ type: 'wake' }).catch(() => null));
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') void this.call({ type: 'wake' }).catch(() => null);
    });
    this.standing = this.live({ type: 'status' }, (status) => {
      this.status = status;
      this.looked = true;
      if (status.profile !== null) keepUsed();
      this.lost = status.profile === null && wasUsed();
    });
    this.subscribe({ type: 'people' }, (people) => {
      this.roles = new Map(people.map((person) => [person.id, person.role]));
    });
    void this.loadDrafts();
  }

  /** What somebody is, as far as this device knows. */
  roleOf(person: string | null): Role | null {
    return person === null ? null : (this.roles.get(person) ?? null);
  }

  /**
   * Asks the worker. What a person saved is answered for only when the status counts it: no screen says for one
   * moment that it is with the company. Rejects with [`CallProblem`].
   */
  async call<C extends Call>(call: C): Promise<Results[C['type']]> {
    const answer = await this.ask(call);
    if (call.type === 'edit' || call.type === 'command') await this.standing?.again();
    return answer;
  }

  private ask<C extends Call>(call: C): Promise<Results[C['type']]> {
    const n = this.next++;
    return new Promise((resolve, reject) => {
      this.waiters.set(n, { resolve: resolve as (value: unknown) => void, reject, call });
      this.post({ type: 'call', n, call });
    });
  }

  query<Q extends Query>(query: Q): Promise<Answers[Q['type']]> {
    return this.call({ type: 'query', query }) as Promise<Answers[Q['type']]>;
  }

  /** Asks now and again whenever something changed. Returns what ends it. */
  subscribe<Q extends Query>(query: Q, take: (answer: Answers[Q['type']]) => void): () => void {
    const live = this.live(query, take);
    return () => {
      live.over = true;
      this.lives.delete(live);
    };
  }

  private live<Q extends Query>(query: Q, take: (answer: Answers[Q['type']]) => void): Live {
    let asking: Promise<void> | null = null;
    let next: Promise<void> | null = null;
    let last = '';
    const ask = async () => {
      try {
        const answer = await this.query(query);
        const text = JSON.stringify(answer);
        if (!live.over && text !== last) {
          last = text;
          take(answer);
        }
      } catch {
        // The next change asks again.
      }
    };
    // One question at a time: everybody who wants to know meanwhile waits for the one that follows.
    const again = (): Promise<void> => {
      if (live.over) return Promise.resolve();
      if (asking !== null) {
        next ??= asking.then(() => {
          next = null;
          return again();
        });
        return next;
      }
      asking = ask().then(() => {
        asking = null;
      });
      return asking;
    };
    const live: Live = { over: false, again };
    this.lives.add(live);
    if (this.ready) void again();
    return live;
  }

  private post(message: ToWorker): void {
    this.worker?.postMessage(message);
  }

  private spawn(): void {
    const worker = new Worker(new URL('../worker/main.ts', import.meta.url), { type: 'module', name: 'daybook' });
    worker.onmessage = (event: MessageEvent<FromWorker>) => this.heard(event.data);
    worker.onerror = () => this.respawn('worker');
    this.worker = worker;
    for (const [n, waiter] of this.waiters) this.post({ type: 'call', n, call: waiter.call });
  }

  /** After a trap nothing of the core is trusted: a new worker opens the store afresh. */
  private respawn(why: string): void {
    this.worker?.terminate();
    this.ready = false;
    this.restarts += 1;
    if (why !== 'logged_out' && this.restarts > RESTARTS_MAX) {
      this.broken = why;
      return;
    }
    this.spawn();
  }

  private heard(message: FromWorker): void {
    switch (message.type) {
      case 'reply':
        this.settle(message.n, message.outcome);
        return;
      case 'ready':
        this.constants = message.constants;
        this.ready = true;
        this.askAll();
        return;
      case 'changed':
        this.askAll();
        return;
      case 'drafts_changed':
        void this.loadDrafts();
        return;
      case 'disk':
        this.diskFull = !message.ok;
        return;
      case 'wiped':
        this.wiped = true;
        return;
      case 'left':
        forgetUsed();
        keepLeft(message.left);
        location.assign('/');
        return;
      case 'fatal':
        if (message.why === 'logged_out') {
          forgetUsed();
          location.assign('/');
        } else this.respawn(message.why);
    }
  }

  private settle(n: number, outcome: Outcome): void {
    const waiter = this.waiters.get(n);
    this.waiters.delete(n);
    if (outcome.ok) waiter?.resolve(outcome.value);
    else waiter?.reject(new CallProblem(outcome.problem));
  }

  private askAll(): void {
    for (const live of this.lives) void live.again();
  }

  /** The core's table of a kind of document. */
  schema(kind: 'customer' | 'visit'): DocumentSchema {
    return this.constants.schemas.find((one) => one.kind === kind) ?? { kind, fields: [], records: [] };
  }

  /** The fields of a document, or of one of its maps of records. */
  table(kind: 'customer' | 'visit', records?: string): readonly FieldSchema[] {
    const schema = this.schema(kind);
    return records === undefined ? schema.fields : (schema.records.find((one) => one.key === records)?.fields ?? []);
  }

  /** The choices of a field: `choices('visit', 'result')`. */
  choices(kind: 'customer' | 'visit', field: string): string[] {
    return this.table(kind).find((one) => one.key === field)?.content.choices ?? [];
  }

  async loadDrafts(): Promise<void> {
    this.drafts = (await this.call({ type: 'drafts' })).sort((one, other) => other.touched - one.touched);
  }

  async keepDraft(draft: Draft): Promise<void> {
    await this.call({ type: 'draft_put', draft });
    await this.loadDrafts();
  }

  async dropDraft(id: string): Promise<void> {
    await this.call({ type: 'draft_delete', id });
    await this.loadDrafts();
  }

  /** Reads the stored first screen straight from the store; the core is compiling meanwhile. */
  private async readFirst(): Promise<void> {
    try {
      const database = await new Promise<IDBDatabase>((resolve, reject) => {
        const request = indexedDB.open('daybook');
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
        // A fresh device: the worker makes the store, and there is nothing to show.
        request.onupgradeneeded = () => request.transaction?.abort();
      });
      const bytes = await new Promise<unknown>((resolve, reject) => {
        const request = database.transaction('rows').objectStore('rows').get('view/home');
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      database.close();
      if (bytes instanceof Uint8Array && this.status === null) {
        this.firstHome = JSON.parse(new TextDecoder().decode(bytes)) as HomeView;
        this.status = this.firstHome.status;
        this.looked = true;
      }
    } catch {
      // Nothing stored; the core will say.
    }
  }
}

export const core = new Core();

/** A live answer for a component: asks when mounted, again on every change, ends with the component. */
export class Answer<Q extends Query> {
  value: Answers[Q['type']] | undefined = $state.raw(undefined);

  constructor(query: () => Q) {
    $effect(() => {
      const asked = query();
      return core.subscribe(asked, (answer) => {
        this.value = answer;
      });
    });
  }
}

/** A new document's id: 16 random bytes. */
export function newDocId(): string {
  return hex(16);
}

/** A new record's id: 16 hexadecimal digits. */
export function newRecordId(): string {
  return hex(8);
}

function hex(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
