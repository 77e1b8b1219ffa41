// What is to be known when the store is empty: what a device that was switched off says after it has emptied itself
// (S6), and that there was a login, whose data the browser must have lost. Kept in localStorage, which is elsewhere.

import type { LeftBehind } from '../worker/messages.ts';

const KEY = 'left';
const USED = 'used';

export function keepLeft(left: LeftBehind): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(left));
  } catch {
    // A private window may forbid it; then the login screen says nothing.
  }
}

export function leftBehind(): LeftBehind | null {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? 'null') as LeftBehind | null;
  } catch {
    return null;
  }
}

export function forgetLeft(): void {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // Then it was never kept.
  }
}

/** Somebody is logged in on this device. */
export function keepUsed(): void {
  try {
    localStorage.setItem(USED, 'yes');
  } catch {
    // Then a loss is not told from a new device.
  }
}

/** Whether somebody was logged in when this device was last looked at, and has not logged out. */
export function wasUsed(): boolean {
  try {
    return localStorage.getItem(USED) !== null;
  } catch {
    return false;
  }
}

/** The device empties itself, as somebody wished. */
export function forgetUsed(): void {
  try {
    localStorage.removeItem(USED);
  } catch {
    // Then it was never kept.
  }
}
