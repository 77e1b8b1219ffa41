// One socket at a time to the server: dials with a fresh ticket, hands frames in and out. Decides nothing;
// when and whether to dial is the core's word.

import type { Account } from './account.ts';

export type LinkEvents = {
  connected: (ticket: Uint8Array) => void;
  frame: (frame: Uint8Array) => void;
  lost: () => void;
  loginEnded: () => void;
  /** The device or its person was switched off. */
  revoked: () => void;
};

/** How long a socket may take to open. */
const OPEN_MS_MAX = 15_000;

export class Link {
  private socket: WebSocket | null = null;
  /** Counts dials, so that what a given-up dial reports is not heard. */
  private dial_number = 0;

  constructor(
    private readonly account: Account,
    private readonly events: LinkEvents,
  ) {}

  async dial(): Promise<void> {
    this.hangUp();
    const mine = this.dial_number;
    const ticket = await this.account.ticket();
    if (mine !== this.dial_number) return;
    if (ticket.type === 'login_needed') return this.events.loginEnded();
    if (ticket.type === 'ended') return this.events.revoked();
    if (ticket.type === 'unreachable') return this.events.lost();
    const url = new URL('/sync/ws', self.location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    const timer = setTimeout(() => socket.close(), OPEN_MS_MAX);
    let over = false;
    socket.onopen = () => {
      clearTimeout(timer);
      if (mine === this.dial_number) this.events.connected(ticket.bytes);
    };
    socket.onmessage = (message) => {
      if (mine === this.dial_number && message.data instanceof ArrayBuffer) {
        this.events.frame(new Uint8Array(message.data));
      }
    };
    socket.onclose = () => {
      clearTimeout(timer);
      if (over || mine !== this.dial_number) return;
      over = true;
      this.socket = null;
      this.events.lost();
    };
  }

  send(frame: Uint8Array): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(frame as Uint8Array<ArrayBuffer>);
  }

  hangUp(): void {
    this.dial_number += 1;
    this.socket?.close();
    this.socket = null;
  }
}
