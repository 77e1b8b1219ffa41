// Loads the core once and names the few shapes in which it speaks. The only file that imports the bindings.

import readingsUrl from '../../../shared/src/search/readings.bin?url';
import init, { Bridge, Clock, constants as constants_json, give_readings } from '../generated/wasm/bridge.js';
import wasmUrl from '../generated/wasm/bridge_bg.wasm?url';
import type { Constants, Outcome } from './messages.ts';

export type CoreOutput =
  | { type: 'store'; id: number; puts: [string, Uint8Array][]; deletes: string[] }
  | { type: 'send'; frame: Uint8Array }
  | { type: 'dial' }
  | { type: 'hang_up' }
  | { type: 'changed' };

let loading: Promise<unknown> | null = null;

/** Compiles the core; every caller gets the same one. */
export function load(): Promise<unknown> {
  loading ??= init({ module_or_path: wasmUrl });
  return loading;
}

/** How characters sound: wanted by the first search by pinyin, and by nothing that the first screen shows. */
export async function loadReadings(): Promise<void> {
  const answer = await fetch(readingsUrl);
  if (!answer.ok || !give_readings(new Uint8Array(await answer.arrayBuffer()))) throw new Error('readings');
}

export function now(): Clock {
  return new Clock(Date.now(), performance.now(), -new Date().getTimezoneOffset());
}

/** What never changes while the app runs. */
export function constants(): Constants {
  return JSON.parse(constants_json()) as Constants;
}

/** Opens the core over the rows of the store. */
export function openBridge(keys: string[], values: Uint8Array[]): Bridge {
  return Bridge.open(now(), crypto.getRandomValues(new Uint8Array(32)), keys, values);
}

/** Reads `{"ok": …}` or `{"refusal": …}`. */
export function outcomeOf(json: string): Outcome {
  const answer = JSON.parse(json) as
    { ok: unknown } | { refusal: { rule: string; about: string | null; zh: string; en: string } };
  if ('ok' in answer) return { ok: true, value: answer.ok };
  return { ok: false, problem: { kind: 'refusal', ...answer.refusal } };
}

export type { Bridge, Clock };
