// What a device that was switched off says after it has emptied itself (S6). Kept in localStorage: the store is
// empty by then, and the words are for whoever opens the app next.

import type { LeftBehind } from '../worker/messages.ts';

const KEY = 'left';

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
