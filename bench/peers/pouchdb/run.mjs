// PouchDB against express-pouchdb on the workloads which it has. Counts requests and answers as messages.
// `bytes` are all bytes on the sockets, because in HTTP every message carries its head; `body_bytes` are
// the bodies alone, before compression.

import { Agent } from "node:http";
import { join } from "node:path";

import PouchDB from "pouchdb";

import { CUSTOMERS, documents, visit } from "../documents.mjs";
import {
  LIMIT_MS, PREPARATION_LIMIT_MS, bounded, percentile, remove, reporter, runAll, startServer, temporary,
} from "../report.mjs";

const report = reporter("pouchdb");
const serverScript = new URL("./server.mjs", import.meta.url).pathname;

/** The remote database as one client sees it, counting what passes its sockets. */
function open(port) {
  const agent = new Agent({ keepAlive: true });
  const sockets = new Set();
  const create = agent.createConnection;
  agent.createConnection = function (...args) {
    const socket = create.apply(this, args);
    sockets.add(socket);
    return socket;
  };
  const socketBytes = () => [...sockets].reduce((sum, socket) => sum + socket.bytesRead + socket.bytesWritten, 0);
  const count = { messages: 0, body: 0, base: 0 };
  const remote = new PouchDB(`http://127.0.0.1:${port}/daybook`, {
    fetch: async (url, options) => {
      count.messages += 1;
      count.body += Buffer.byteLength(options.body ?? "");
      const answer = await PouchDB.fetch(url, { ...options, agent });
      count.messages += 1;
      const text = answer.text.bind(answer);
      const counted = async () => {
        const body = await text();
        count.body += Buffer.byteLength(body);
        return body;
      };
      answer.text = counted;
      answer.json = async () => JSON.parse(await counted());
      return answer;
    },
  });
  const reset = () => Object.assign(count, { messages: 0, body: 0, base: socketBytes() });
  return { remote, count, reset, bytes: () => socketBytes() - count.base, close: () => agent.destroy() };
}

const identifier = (index) => `doc${String(index).padStart(8, "0")}`;

async function replicate(local, remote) {
  const result = await local.replicate.from(remote, { batch_size: 500 });
  if (!result.ok) throw new Error("replication failed");
  return result;
}

/** A server that holds `count` documents, and what opens a client on it. */
async function prepared(cleanup, count) {
  const dir = temporary();
  cleanup(() => remove(dir));
  const server = startServer(serverScript, [dir]);
  cleanup(() => server.kill());
  const port = await server.port;
  const fill = async () => {
    const { remote, close } = open(port);
    const all = documents(count).map((document, index) => ({ _id: identifier(index), ...document }));
    for (let start = 0; start < count; start += 500) {
      const answers = await remote.bulkDocs(all.slice(start, start + 500));
      if (answers.some((answer) => answer.error)) throw new Error("bulkDocs refused a document");
    }
    close();
  };
  await bounded(Promise.race([fill(), server.died]), PREPARATION_LIMIT_MS, "preparation");
  return { dir, server, port };
}

async function change(port, count, round) {
  const { remote, close } = open(port);
  for (let index = count - 10; index < count; index += 1) {
    const document = await remote.get(identifier(index));
    await remote.put({ ...document, remarks: `changed ${round}` });
  }
  close();
}

async function phone(dir, cleanup, port) {
  const local = new PouchDB(join(dir, "phone"));
  cleanup(() => local.close());
  await bounded(replicate(local, open(port).remote), PREPARATION_LIMIT_MS, "first replication");
  return local;
}

function reportCounts(name, client) {
  report(name, "messages", client.count.messages);
  report(name, "round_trips", client.count.messages / 2);
  report(name, "bytes", client.bytes());
  report(name, "body_bytes", client.count.body);
}

function reconnect(count, changes) {
  return {
    metrics: ["ms", "messages", "bytes"],
    run: async (name, cleanup) => {
      const { dir, server, port } = await prepared(cleanup, count);
      const local = await phone(dir, cleanup, port);
      if (changes > 0) await bounded(change(port, count, 1), LIMIT_MS, "changes");
      const client = open(port);
      cleanup(client.close);
      client.reset();
      const begun = performance.now();
      const result = await bounded(Promise.race([replicate(local, client.remote), server.died]), LIMIT_MS, "reconnect");
      const ms = performance.now() - begun;
      if (result.docs_written !== changes) throw new Error(`${result.docs_written} documents came, not ${changes}`);
      report(name, "ms", ms);
      reportCounts(name, client);
    },
  };
}

const restart = {
  metrics: ["first_answer_ms", "messages", "bytes"],
  run: async (name, cleanup) => {
    const { dir, server, port: first } = await prepared(cleanup, 2000);
    const local = await phone(dir, cleanup, first);
    await bounded(change(first, 2000, 1), LIMIT_MS, "changes");
    await server.stop();
    // The checkpoint belongs to the address, so the second life listens where the first did.
    const again = startServer(serverScript, [dir, String(first)]);
    cleanup(() => again.kill());
    const port = await again.port;
    const client = open(port);
    cleanup(client.close);
    client.reset();
    const result = await bounded(Promise.race([replicate(local, client.remote), again.died]), LIMIT_MS, "reconnect");
    if (result.docs_written !== 10) throw new Error(`${result.docs_written} documents came, not 10`);
    // The ten come in one answer, and are counted when they are stored.
    report(name, "first_answer_ms", performance.now() - again.started);
    report(name, "documents_rewritten", null, "one LevelDB for all documents: not to be seen from outside");
    reportCounts(name, client);
  },
};

const firstSync = {
  metrics: ["ms", "messages", "bytes"],
  run: async (name, cleanup) => {
    const { dir, server, port } = await prepared(cleanup, 5000);
    const local = new PouchDB(join(dir, "phone"));
    cleanup(() => local.close());
    const client = open(port);
    cleanup(client.close);
    client.reset();
    const begun = performance.now();
    const result = await bounded(Promise.race([replicate(local, client.remote), server.died]), LIMIT_MS, "first sync");
    if (result.docs_written !== 5000) throw new Error(`${result.docs_written} documents came, not 5000`);
    report(name, "ms", performance.now() - begun);
    reportCounts(name, client);
  },
};

async function fanoutOf(count, cleanup) {
  const { server, port } = await prepared(cleanup, 10);
  const rounds = 5;
  const phones = Array.from({ length: count }, () => open(port));
  const seen = phones.map(() => new Map());
  phones.forEach((client, index) => {
    cleanup(client.close);
    const feed = client.remote.changes({ live: true, since: "now", include_docs: true, batch_size: 10, heartbeat: 10000 });
    cleanup(() => feed.cancel());
    feed.on("change", ({ doc }) => seen[index].get(doc.remarks)?.());
    feed.on("error", () => {});
  });
  const writer = open(port);
  cleanup(writer.close);
  const commit = async (round, within) => {
    const times = [];
    let begun = 0;
    const all = seen.map((waiting) => new Promise((resolve) => {
      waiting.set(`changed ${round}`, () => { times.push(performance.now() - begun); resolve(); });
    }));
    const document = await writer.remote.get(identifier(0));
    begun = performance.now();
    await writer.remote.put({ ...document, remarks: `changed ${round}` });
    await bounded(Promise.race([Promise.all(all), server.died]), within, `fan-out (${round})`);
    return times;
  };
  // The feeds say nothing when they are open: give them time, then one round that is not measured.
  await new Promise((resolve) => setTimeout(resolve, 3000 + count * 10));
  await commit("warm", 30_000);
  for (const client of phones) client.reset();
  const times = [];
  for (let round = 0; round < rounds; round += 1) {
    times.push(...await commit(`f${round}`, LIMIT_MS));
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
  const bytes = phones.reduce((sum, client) => sum + client.bytes(), 0) / count / rounds;
  const messages = phones.reduce((sum, client) => sum + client.count.messages, 0) / count / rounds;
  return { p99: percentile(times, 0.99), bytes, messages };
}

const fanout = {
  metrics: ["sockets", "p99_ms", "payload_bytes_per_socket", "messages_per_socket"],
  run: async (name, cleanup) => {
    const failures = [];
    for (const sockets of [1000, 200, 50]) {
      const attempt = [];
      cleanup(() => Promise.all(attempt.map((action) => action())));
      try {
        const measured = fanoutOf(sockets, (action) => attempt.push(action));
        const { p99, bytes, messages } = await bounded(measured, LIMIT_MS, "joining and five commits");
        report(name, "sockets", sockets, failures.join("; "));
        report(name, "p99_ms", p99);
        report(name, "payload_bytes_per_socket", bytes);
        report(name, "messages_per_socket", messages);
        return;
      } catch (error) {
        failures.push(`${sockets} sockets: ${error.message}`);
        for (const action of attempt.splice(0).reverse()) await bounded(Promise.resolve(action()), 1000, "clean up").catch(() => {});
      }
    }
    throw new Error(failures.join("; "));
  },
};

const commit = {
  metrics: ["changes_per_s", "ack_p99_ms"],
  run: async (name, cleanup) => {
    const { server, port } = await prepared(cleanup, 1);
    const phones = await Promise.all(Array.from({ length: 50 }, async (_, index) => {
      const client = open(port);
      cleanup(client.close);
      const document = { _id: `phone${index}`, ...visit(index + CUSTOMERS) };
      const { rev } = await client.remote.put(document);
      return { client, document, rev };
    }));
    const times = [];
    const begun = performance.now();
    const until = begun + 5000;
    await bounded(Promise.race([server.died, Promise.all(phones.map(async ({ client, document, rev }, index) => {
      let last = rev;
      for (let round = 0; performance.now() < until; round += 1) {
        const sent = performance.now();
        ({ rev: last } = await client.remote.put({ ...document, _rev: last, remarks: `phone ${index} round ${round}` }));
        times.push(performance.now() - sent);
      }
    }))]), LIMIT_MS, "commits");
    report(name, "changes_per_s", times.length / ((performance.now() - begun) / 1000), "LevelDB writes without fsync");
    report(name, "ack_p99_ms", percentile(times, 0.99));
  },
};

await runAll(report, {
  reconnect_500: reconnect(500, 10),
  reconnect_2000: reconnect(2000, 10),
  reconnect_2000_idle: reconnect(2000, 0),
  reconnect_5000: reconnect(5000, 10),
  reconnect_20000: reconnect(20000, 10),
  restart,
  first_sync_5000: firstSync,
  fanout,
  commit_50: commit,
});
