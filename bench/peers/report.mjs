// What the Node peers share: one JSON line per figure, bounds on time, child servers, quantiles.
// Knows nothing of any peer.

import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A workload's measured part may take this long, its preparation twice as long. */
export const LIMIT_MS = 60_000;
export const PREPARATION_LIMIT_MS = 120_000;
const WORKLOAD_LIMIT_MS = 400_000;

export class OutOfTime extends Error {}

export function bounded(promise, limit, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new OutOfTime(`${what}: more than ${limit / 1000} s`)), limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export function reporter(subject) {
  return (workload, metric, value, reason) => {
    const rounded = typeof value === "number" ? Math.round(value * 100) / 100 : value;
    console.log(JSON.stringify({ subject, workload, metric, value: rounded, ...(reason ? { reason } : {}) }));
  };
}

export const percentile = (values, share) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)];
};

export const temporary = () => mkdtempSync(join(tmpdir(), "daybook-peer-"));
export const remove = (dir) => rmSync(dir, { recursive: true, force: true, maxRetries: 5 });

/** Starts a server script; resolves when it has printed a line `ready PORT`. */
export function startServer(script, args) {
  const child = spawn(process.execPath, ["--max-old-space-size=4096", script, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const errors = [];
  child.stderr.on("data", (data) => { errors.push(String(data)); if (errors.length > 50) errors.shift(); });
  const started = performance.now();
  const lines = createInterface({ input: child.stdout });
  const exited = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
  const died = exited.then(({ code, signal }) => {
    throw new Error(`server ended (${signal ?? code}): ${errors.join("").split("\n").find((line) => /error/i.test(line))?.slice(0, 160) ?? ""}`);
  });
  died.catch(() => {});
  const ready = new Promise((resolve) => {
    lines.on("line", (line) => {
      const match = /^ready (\d+)/.exec(line);
      if (match) resolve(Number(match[1]));
    });
  });
  const stop = async () => {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 5000);
    await exited;
    clearTimeout(late);
  };
  return { port: Promise.race([ready, died]), died, stop, kill: () => child.kill("SIGKILL"), started, pid: child.pid };
}

/** Every file below a folder, with the time it was last written. */
export function filesWritten(dir, files = new Map()) {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) filesWritten(path, files);
    else files.set(path, statSync(path).mtimeMs);
  }
  return files;
}

/** Runs the workloads named on the command line, or all, each in a process of its own, so that none inherits
 * what another left; a failure becomes a null with its reason. */
export async function runAll(report, workloads) {
  const [flag, one] = process.argv.slice(2);
  if (flag === "--in-process") return runOne(report, one, workloads[one]);
  const wanted = process.argv.slice(2).filter((name) => name in workloads);
  const named = process.argv.length > 2 ? wanted : Object.keys(workloads);
  for (const name of named) {
    const child = spawn(process.execPath, [process.argv[1], "--in-process", name], { stdio: ["ignore", "inherit", "pipe"] });
    const errors = [];
    child.stderr.on("data", (data) => errors.push(String(data)));
    const late = setTimeout(() => child.kill("SIGKILL"), WORKLOAD_LIMIT_MS);
    const code = await new Promise((resolve) => child.once("exit", resolve));
    clearTimeout(late);
    if (code === 0) continue;
    const line = errors.join("").split("\n").find((text) => /error/i.test(text)) ?? "took too long";
    for (const metric of workloads[name].metrics) report(name, metric, null, `the client ended: ${line.slice(0, 160)}`);
  }
}

async function runOne(report, name, { metrics, run }) {
  const cleanups = [];
  try {
    await run(name, (action) => cleanups.push(action));
  } catch (error) {
    for (const metric of metrics) report(name, metric, null, String(error.message ?? error).slice(0, 300));
  }
  for (const action of cleanups.reverse()) {
    try {
      await bounded(Promise.resolve(action()), 10_000, "clean up");
    } catch (error) {
      console.error(`${name}: ${error.message}`);
    }
  }
  process.exit(0);
}
