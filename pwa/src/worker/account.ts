// Login, tokens and the few plain HTTP calls. The access token lives in memory only; the refresh token is a
// cookie that scripts cannot read. Knows nothing of documents.

import type { DeviceRow, FailureCode, LoginPerson } from './messages.ts';

/** Says that a plain HTTP call did not succeed, and why. */
export class CallFailure extends Error {
  constructor(readonly code: FailureCode) {
    super(code);
  }
}

export type LoginAnswer = {
  access_token: string;
  expires_in: number;
  person: LoginPerson;
  device: string;
  incarnation: string;
};

/** What came of asking for a ticket. */
export type Ticket =
  { type: 'ticket'; bytes: Uint8Array } | { type: 'login_needed' } | { type: 'ended' } | { type: 'unreachable' };

/** What the server holds of a photo: where to go on, and whether that is all of it, verified. */
export type HeldAnswer = { held: number; whole: boolean };

/** A way on which photos go up. */
export type Uploads = Pick<Account, 'held' | 'putPart'>;

const PATIENCE_MS = 15_000;
/** For bytes that are long on the way: a part of a photo on a weak signal. */
const FILE_PATIENCE_MS = 60_000;

async function reached(path: string, request: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { credentials: 'same-origin', cache: 'no-store', ...request });
  } catch {
    throw new CallFailure('offline');
  }
}

function post(path: string, body: unknown, token: string | null): Promise<Response> {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (token !== null) headers['authorization'] = `Bearer ${token}`;
  const text = JSON.stringify(body ?? {});
  return reached(path, { method: 'POST', headers, body: text, signal: AbortSignal.timeout(PATIENCE_MS) });
}

async function heldAnswer(response: Response): Promise<HeldAnswer> {
  // 409: the part was not in its place; the answer says where to go on.
  if (!response.ok && response.status !== 409) throw new CallFailure(codeOf(response.status));
  try {
    return (await response.json()) as HeldAnswer;
  } catch {
    throw new CallFailure('offline');
  }
}

/** As [`codeOf`], and whether the device or its person was switched off, which only the body says. */
async function codeOfLogin(response: Response): Promise<FailureCode> {
  if (response.status !== 403) return codeOf(response.status);
  const body = (await response.json().catch(() => null)) as { error?: { code?: string } } | null;
  return body?.error?.code === 'access_ended' ? 'ended' : 'forbidden';
}

function codeOf(status: number): FailureCode {
  if (status === 401) return 'wrong_password';
  if (status === 429) return 'too_many_attempts';
  if (status === 403 || status === 404) return 'forbidden';
  return status >= 502 && status <= 504 ? 'offline' : 'server_error';
}

function bytesOfHex(hex: string): Uint8Array {
  const pairs = hex.match(/../g) ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
}

export class Account {
  private token: string | null = null;
  private validUntil = 0;
  private refreshing: Promise<boolean> | null = null;

  /** `met` hears which life of the server answered (S14). */
  constructor(private readonly met: (incarnation: string) => void) {}

  /** Logs in with a password. `device` is the number that the server gave this installation before. */
  async login(name: string, password: string, label: string, device: string | null): Promise<LoginAnswer> {
    const body = device === null ? { name, password, label } : { name, password, label, device };
    const response = await post('/api/login', body, null);
    if (!response.ok) throw new CallFailure(await codeOfLogin(response));
    const answer = (await response.json()) as LoginAnswer;
    this.keep(answer);
    return answer;
  }

  /** Ends the login on the server as far as it can be reached; the cookie goes with it. */
  async logout(): Promise<void> {
    const token = this.token;
    this.token = null;
    await post('/api/logout', null, token).catch(() => null);
  }

  /** A single-use ticket for the socket. */
  async ticket(): Promise<Ticket> {
    try {
      const response = await this.authorised((token) => post('/api/ticket', null, token));
      if (response === null) return { type: 'login_needed' };
      if (!response.ok) throw new CallFailure(await codeOfLogin(response));
      const { ticket } = (await response.json()) as { ticket: string };
      return { type: 'ticket', bytes: bytesOfHex(ticket) };
    } catch (failure) {
      const ended = failure instanceof CallFailure && failure.code === 'ended';
      return { type: ended ? 'ended' : 'unreachable' };
    }
  }

  /** The devices that this person may see. */
  async devices(): Promise<DeviceRow[]> {
    const response = await this.granted((token) => this.get('/api/devices', token));
    if (!response.ok) throw new CallFailure(codeOf(response.status));
    return (await response.json()) as DeviceRow[];
  }

  /** Revokes one device (S6). */
  async revoke(id: string): Promise<void> {
    const response = await this.granted((token) => post(`/api/devices/${id}/revoke`, null, token));
    if (!response.ok) throw new CallFailure(codeOf(response.status));
  }

  /** Has what a device left in the company's keeping judged and stored like anything pushed (S15). */
  async restore(id: string): Promise<void> {
    const response = await this.granted((token) => post(`/api/devices/${id}/restore`, null, token));
    if (!response.ok) throw new CallFailure(codeOf(response.status));
  }

  /** What the server holds of a photo. */
  async held(sha256: string): Promise<HeldAnswer> {
    return heldAnswer(await this.granted((token) => this.get(`/api/files/${sha256}/held`, token)));
  }

  /** Sends one part of a photo; the answer says where to go on, whether or not the part was in its place. */
  async putPart(sha256: string, offset: number, total: number, part: ArrayBuffer): Promise<HeldAnswer> {
    const path = `/api/files/${sha256}?offset=${offset}&total=${total}`;
    const put = (token: string) =>
      reached(path, {
        method: 'PUT',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
        body: part,
        signal: AbortSignal.timeout(FILE_PATIENCE_MS),
      });
    return heldAnswer(await this.granted(put));
  }

  /**
   * The one door of a device that was switched off (S6): it takes pushes, by the cookie alone, and answers with
   * acknowledgements once they are on the server's disk.
   */
  async handOver(pushes: Uint8Array): Promise<Uint8Array> {
    const response = await reached('/api/handover', {
      method: 'POST',
      headers: { 'content-type': 'application/cbor-seq' },
      body: pushes as Uint8Array<ArrayBuffer>,
      signal: AbortSignal.timeout(FILE_PATIENCE_MS),
    });
    if (!response.ok) throw new CallFailure(codeOf(response.status));
    try {
      return new Uint8Array(await response.arrayBuffer());
    } catch {
      throw new CallFailure('offline');
    }
  }

  /** The same door for photos. */
  readonly door: Uploads = {
    held: async (sha256) =>
      heldAnswer(await reached(`/api/handover/files/${sha256}/held`, { signal: AbortSignal.timeout(PATIENCE_MS) })),
    putPart: async (sha256, offset, total, part) =>
      heldAnswer(
        await reached(`/api/handover/files/${sha256}?offset=${offset}&total=${total}`, {
          method: 'PUT',
          headers: { 'content-type': 'application/octet-stream' },
          body: part,
          signal: AbortSignal.timeout(FILE_PATIENCE_MS),
        }),
      ),
  };

  /** A photo that a visit shows. */
  async file(sha256: string, visit: string): Promise<Blob> {
    const path = `/api/files/${sha256}?visit=${visit}`;
    const response = await this.granted((token) => this.get(path, token, FILE_PATIENCE_MS));
    if (!response.ok) throw new CallFailure(codeOf(response.status));
    try {
      return await response.blob();
    } catch {
      throw new CallFailure('offline');
    }
  }

  private get(path: string, token: string, patience_ms = PATIENCE_MS): Promise<Response> {
    const headers = { authorization: `Bearer ${token}` };
    return reached(path, { headers, signal: AbortSignal.timeout(patience_ms) });
  }

  /** As [`Account.authorised`]; a login that has ended is a failure. */
  private async granted(call: (token: string) => Promise<Response>): Promise<Response> {
    const response = await this.authorised(call);
    if (response === null) throw new CallFailure('forbidden');
    return response;
  }

  /** Calls with a valid token, refreshed at most once; none if only a new login helps. */
  private async authorised(call: (token: string) => Promise<Response>): Promise<Response | null> {
    if (this.token === null || Date.now() > this.validUntil) {
      if (!(await this.refresh())) return null;
    }
    const first = await call(this.token ?? '');
    if (first.status !== 401) return first;
    if (!(await this.refresh())) return null;
    const second = await call(this.token ?? '');
    return second.status === 401 ? null : second;
  }

  /** False if the server wants a login; throws if it cannot be reached. One at a time: the token rotates. */
  private refresh(): Promise<boolean> {
    this.refreshing ??= this.refreshOnce().finally(() => {
      this.refreshing = null;
    });
    return this.refreshing;
  }

  private async refreshOnce(): Promise<boolean> {
    const response = await post('/api/refresh', null, null);
    if (response.status === 401) return false;
    if (!response.ok) throw new CallFailure(await codeOfLogin(response));
    this.keep((await response.json()) as LoginAnswer);
    return true;
  }

  private keep(answer: LoginAnswer): void {
    this.met(answer.incarnation);
    this.token = answer.access_token;
    // A minute early, so that a token does not end on the way.
    this.validUntil = Date.now() + Math.max(30, answer.expires_in - 60) * 1000;
  }
}
