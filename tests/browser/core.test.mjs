// The core of browsers against the core of scripts: simulated worlds put on tape what goes into their phones and what
// comes out, and the core in WebAssembly is played the tapes. No browser: the core knows none.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Bridge, Clock, initSync } from '../../pwa/src/generated/wasm/bridge.js';
import { SIM } from './daybook.mjs';

const WORLDS = Number(process.env.DAYBOOK_TAPES ?? 24);
const WASM = new URL('../../pwa/src/generated/wasm/bridge_bg.wasm', import.meta.url);

const bytes = (hex) => Uint8Array.from(Buffer.from(hex, 'hex'));
const hex = (array) => Buffer.from(array).toString('hex');

/** What the core is asked, and what it answers where it answers at once. */
const INPUTS = {
  login: (core, clock, { json }) => void core.login(clock, json),
  edit: (core, clock, { json }) => outcome(core.edit(clock, json)),
  command: (core, clock, { json }) => outcome(core.command(clock, json)),
  query: (core, clock, { json }) => core.query(clock, json),
  peek: (core, clock, { json }) => void core.query(clock, json),
  dismiss_refused: (core, clock, { id }) => core.dismiss_refused(clock, id),
  stored: (core, clock, { id }) => core.stored(clock, id),
  store_failed: (core, clock, { id }) => core.store_failed(clock, id),
  connected: (core, clock, line) => core.connected(clock, bytes(line.bytes)),
  frame: (core, clock, line) => core.frame(clock, bytes(line.bytes)),
  disconnected: (core, clock) => core.disconnected(clock),
  login_ended: (core, clock) => core.login_ended(clock),
  revoked: (core, clock) => core.revoked(clock),
  handover: (core, clock) => hex(core.handover(clock)),
  handed_over: (core, clock, line) => core.handed_over(clock, bytes(line.bytes)),
  nudge: (core, clock) => core.nudge(clock),
  timeout: (core, clock) => core.timeout(clock),
  export: (core) => hex(core.export()),
};

function outcome(text) {
  const { ok, refusal } = JSON.parse(text);
  return refusal === undefined ? { ok } : { rule: refusal.rule, about: refusal.about };
}

function polled(core) {
  const output = core.poll();
  if (output === undefined) return null;
  const { type } = output;
  if (type === 'send') return { type, frame: hex(output.frame) };
  if (type !== 'store') return { type };
  return { type, id: output.id, puts: output.puts.map(([key, row]) => [key, hex(row)]), deletes: output.deletes };
}

// SIM-17
test('the core in WebAssembly does what the native core does, byte by byte', async () => {
  initSync({ module: readFileSync(WASM) });
  const taping = spawn(SIM, ['--tape', '0', String(WORLDS)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => taping.once('close', resolve));
  const seen = { runs: 0, inputs: 0, outputs: 0, frames: 0, rows: 0, answers: 0, refusals: 0 };
  let core;
  let answer;
  let input;
  for await (const text of createInterface({ input: taping.stdout })) {
    const line = JSON.parse(text);
    if (line.do === undefined) {
      const answered = answer;
      answer = undefined;
      const out = answered ?? polled(core);
      assert.deepEqual(out, line.out, `after ${JSON.stringify(input).slice(0, 400)}`);
      if (line.out === null) assert.equal(core.next_timeout() ?? null, line.timeout);
      seen.outputs += 1;
      seen.answers += typeof line.out === 'string' ? 1 : 0;
      seen.refusals += line.out?.rule === undefined ? 0 : 1;
      seen.frames += line.out?.type === 'send' ? 1 : 0;
      seen.rows += line.out?.puts?.length ?? 0;
      continue;
    }
    input = line;
    const clock = new Clock(...line.at);
    if (line.do === 'open') {
      core?.free();
      const keys = line.rows.map(([key]) => key);
      core = Bridge.open(clock, bytes(line.seed), keys, line.rows.map(([, row]) => bytes(row)));
      seen.runs += 1;
    } else {
      answer = INPUTS[line.do](core, clock, line);
    }
    clock.free();
    seen.inputs += 1;
  }
  assert.equal(await ended, 0, 'the worlds were lived to their end');
  console.log(JSON.stringify(seen));
  assert.ok(seen.runs > WORLDS * 3 && seen.refusals > 0, JSON.stringify(seen));
  for (const kind of ['frames', 'rows', 'answers']) assert.ok(seen[kind] > WORLDS * 50, JSON.stringify(seen));
});
