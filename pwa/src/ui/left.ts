// What is to be known when the store is empty: what a device that was switched off says after it has emptied itself
// (S6), and that there was a login, whose data the browser must have lost. Kept in localStorage, which is elsewhere.
// A private window may forbid that; then the login screen says nothing, and a loss is not told from a new device.

import type { LeftBehind } from '../worker/messages.ts';

const LEFT = 'left';
const USED = 'used';

export const keepLeft = (left: LeftBehind): void => write(LEFT, JSON.stringify(left));
export const forgetLeft = (): void => write(LEFT, null);

export function leftBehind(): LeftBehind | null {
  try {
    return JSON.parse(read(LEFT) ?? 'null') as LeftBehind | null;
  } catch {
    return null;
  }
}

/** Somebody is logged in on this device. */
export const keepUsed = (): void => write(USED, 'yes');
/** Whether somebody was logged in when this device was last looked at, and has not logged out. */
export const wasUsed = (): boolean => read(USED) !== null;
/** The device empties itself, as somebody wished. */
export const forgetUsed = (): void => write(USED, null);

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // See above.
  }
}
