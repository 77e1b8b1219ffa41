// automerge-repo on the workloads which it has. Counts what passes the client's socket.

import * as Automerge from "@automerge/automerge";
import { Repo } from "@automerge/automerge-repo";
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket";
import { CUSTOMERS, documents, visit } from "../documents.mjs";
import {
  LIMIT_MS, PREPARATION_LIMIT_MS, bounded, filesWritten, percentile, remove, reporter, runAll, startServer, temporary,
} from "../report.mjs";

const report = reporter("automerge-repo");
const serverScript = new URL("./server.mjs", import.meta.url).pathname;

/** The client adapter, counting messages and payload bytes, and remembering the heads the server told. */
class CountingAdapter extends WebSocketClientAdapter {
  messages = 0;
  bytes = 0;
  lastMessage = 0;
  theirHeads = new Map();
  waiting = new Map();

  constructor(port) {
    super(`ws://127.0.0.1:${port}`, 600_000);
  }

  connect(peerId, metadata) {
    super.connect(peerId, metadata);
    const send = this.socket.send.bind(this.socket);
    this.socket.send = (data) => {
      this.count(data.byteLength);
      send(data);
    };
  }

  receiveMessage(data) {
    this.count(data.byteLength);
    super.receiveMessage(data);
  }

  emit(event, payload) {
    if (event === "message" && payload.type === "sync") {
      const { heads } = Automerge.decodeSyncMessage(payload.data);
      this.theirHeads.set(payload.documentId, heads);
      this.waiting.get(payload.documentId)?.(heads);
    }
    return super.emit(event, payload);
  }

  count(bytes) {
    this.messages += 1;
    this.bytes += bytes;
    this.lastMessage = performance.now();
  }

  reset() {
    this.messages = 0;
    this.bytes = 0;
  }

  /** Resolves when the server's last told heads are the document's own: its only acknowledgement. */
  async acknowledged(handle) {
    const heads = Automerge.getHeads(handle.doc()).toString();
    if (this.theirHeads.get(handle.documentId)?.toString() === heads) return;
    await new Promise((resolve) => {
      this.waiting.set(handle.documentId, (theirs) => {
        if (theirs.toString() === heads) {
          this.waiting.delete(handle.documentId);
          resolve();
        }
      });
    });
  }

  async quiet(ms) {
    for (;;) {
      const left = this.lastMessage + ms - performance.now();
      if (left <= 0) return;
      await new Promise((resolve) => setTimeout(resolve, left));
    }
  }
}

let clients = 0;
/** A client that has met the server: one that has not calls every document unavailable. */
async function open(port) {
  const adapter = new CountingAdapter(port);
  const met = new Promise((resolve) => adapter.once("peer-candidate", resolve));
  clients += 1;
  const repo = new Repo({ network: [adapter], peerId: `client-${clients}-${process.pid}` });
  await bounded(met, LIMIT_MS, "meeting the server");
  return { repo, adapter };
}

/** A client that holds `count` documents which the server holds too. */
async function holding(port, count) {
  const client = await open(port);
  const handles = [];
  const all = documents(count);
  for (let start = 0; start < count; start += 50) {
    const batch = all.slice(start, start + 50).map((document) => client.repo.create(document));
    await Promise.all(batch.map((handle) => client.adapter.acknowledged(handle)));
    handles.push(...batch);
  }
  return { ...client, handles };
}

async function change(port, handles, round) {
  const writer = await open(port);
  for (const held of handles) {
    const handle = await writer.repo.find(held.url);
    handle.change((document) => { document.remarks = `changed ${round}`; });
    await writer.adapter.acknowledged(handle);
  }
  writer.adapter.disconnect();
}

const changed = (handle, round) => new Promise((resolve) => {
  const look = () => {
    if (handle.doc()?.remarks !== `changed ${round}`) return;
    handle.off("change", look);
    resolve();
  };
  handle.on("change", look);
  look();
});

/** The last documents of the set: visits, or customers in a small set. */
const ten = (handles) => handles.slice(-10);

async function prepared(cleanup, count) {
  const dir = temporary();
  cleanup(() => remove(dir));
  const server = startServer(serverScript, [dir]);
  cleanup(() => server.kill());
  const port = await server.port;
  const client = await bounded(Promise.race([holding(port, count), server.died]), PREPARATION_LIMIT_MS, "preparation");
  cleanup(() => client.adapter.disconnect());
  return { dir, server, port, client };
}

async function settle(client, begun) {
  await client.adapter.quiet(1000);
  return client.adapter.lastMessage - begun;
}

function reconnect(count, changes) {
  return {
    metrics: ["ms", "settled_ms", "messages", "bytes"],
    run: async (name, cleanup) => {
      const { server, port, client } = await prepared(cleanup, count);
      client.adapter.disconnect();
      if (changes > 0) await bounded(change(port, ten(client.handles), 1), LIMIT_MS, "changes");
      client.adapter.reset();
      client.adapter.theirHeads.clear();
      const begun = performance.now();
      const seen = changes > 0 ? ten(client.handles).map((handle) => changed(handle, 1)) : [];
      client.adapter.lastMessage = begun;
      client.adapter.connect(client.repo.peerId, {});
      await bounded(Promise.race([Promise.all(seen), server.died]), LIMIT_MS, "reconnect");
      const ms = performance.now() - begun;
      const settled = await bounded(Promise.race([settle(client, begun), server.died]), LIMIT_MS, "settling");
      report(name, "ms", changes > 0 ? ms : settled);
      report(name, "settled_ms", settled);
      report(name, "messages", client.adapter.messages);
      report(name, "bytes", client.adapter.bytes);
    },
  };
}

const restart = {
  metrics: ["first_answer_ms", "settled_ms", "documents_rewritten", "messages", "bytes"],
  run: async (name, cleanup) => {
    const { dir, server, port, client } = await prepared(cleanup, 2000);
    client.adapter.disconnect();
    await bounded(change(port, ten(client.handles), 1), LIMIT_MS, "changes");
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await server.stop();
    const before = filesWritten(dir);
    const again = startServer(serverScript, [dir]);
    cleanup(() => again.kill());
    client.adapter.url = `ws://127.0.0.1:${await again.port}`;
    client.adapter.reset();
    client.adapter.theirHeads.clear();
    const seen = ten(client.handles).map((handle) => changed(handle, 1).then(() => performance.now() - again.started));
    client.adapter.lastMessage = performance.now();
    client.adapter.connect(client.repo.peerId, {});
    report(name, "first_answer_ms", await bounded(Promise.race([...seen, again.died]), LIMIT_MS, "first answer"));
    await bounded(Promise.race([Promise.all(seen), again.died]), LIMIT_MS, "all answers");
    report(name, "settled_ms", await bounded(Promise.race([settle(client, again.started), again.died]), LIMIT_MS, "settling"));
    report(name, "messages", client.adapter.messages);
    report(name, "bytes", client.adapter.bytes);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const touched = new Set();
    for (const [path, time] of filesWritten(dir)) {
      if (before.get(path) !== time) touched.add(path.slice(dir.length).split("/").slice(1, 3).join(""));
    }
    report(name, "documents_rewritten", touched.size);
  },
};

const firstSync = {
  metrics: ["ms", "messages", "bytes"],
  run: async (name, cleanup) => {
    const { server, port, client } = await prepared(cleanup, 5000);
    const urls = client.handles.map((handle) => handle.url);
    client.adapter.disconnect();
    const phone = await open(port);
    cleanup(() => phone.adapter.disconnect());
    const begun = performance.now();
    const all = Promise.all(urls.map((url) => phone.repo.find(url)));
    await bounded(Promise.race([all, server.died]), LIMIT_MS, "first sync");
    report(name, "ms", performance.now() - begun);
    await bounded(phone.adapter.quiet(1000), LIMIT_MS, "settling");
    report(name, "messages", phone.adapter.messages);
    report(name, "bytes", phone.adapter.bytes);
  },
};

async function fanoutOf(count, cleanup) {
  const { server, port, client } = await prepared(cleanup, 1);
  const phones = [];
  let givenUp = false;
  cleanup(() => { givenUp = true; });
  const joinAll = async () => {
    for (let start = 0; start < count && !givenUp; start += 50) {
      const batch = await Promise.all(Array.from({ length: Math.min(50, count - start) }, () => open(port)));
      for (const phone of batch) cleanup(() => phone.adapter.disconnect());
      phones.push(...await Promise.all(batch.map(async (phone) => ({ ...phone, handle: await phone.repo.find(client.handles[0].url) }))));
    }
  };
  await bounded(Promise.race([joinAll(), server.died]), PREPARATION_LIMIT_MS, "joining");
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const times = [];
  for (const phone of phones) phone.adapter.reset();
  const rounds = 5;
  for (let round = 0; round < rounds; round += 1) {
    let begun = 0;
    const all = phones.map(({ handle }) => changed(handle, `f${round}`).then(() => times.push(performance.now() - begun)));
    begun = performance.now();
    client.handles[0].change((document) => { document.remarks = `changed f${round}`; });
    await bounded(Promise.race([Promise.all(all), server.died]), LIMIT_MS, "fan-out");
  }
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const bytes = phones.reduce((sum, phone) => sum + phone.adapter.bytes, 0) / phones.length / rounds;
  const messages = phones.reduce((sum, phone) => sum + phone.adapter.messages, 0) / phones.length / rounds;
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
        const { p99, bytes, messages } = await fanoutOf(sockets, (action) => attempt.push(action));
        report(name, "sockets", sockets, failures.join("; "));
        report(name, "p99_ms", p99);
        report(name, "payload_bytes_per_socket", bytes);
        report(name, "messages_per_socket", messages);
        return;
      } catch (error) {
        failures.push(`${sockets} sockets: ${error.message}`);
        for (const action of attempt.splice(0).reverse()) await action();
      }
    }
    throw new Error(failures.join("; "));
  },
};

const commit = {
  metrics: ["changes_per_s", "ack_p99_ms"],
  run: async (name, cleanup) => {
    const dir = temporary();
    cleanup(() => remove(dir));
    const server = startServer(serverScript, [dir]);
    cleanup(() => server.kill());
    const port = await server.port;
    const phones = await bounded(Promise.all(Array.from({ length: 50 }, async (_, index) => {
      const phone = await open(port);
      cleanup(() => phone.adapter.disconnect());
      const handle = phone.repo.create(visit(index + CUSTOMERS));
      await phone.adapter.acknowledged(handle);
      return { ...phone, handle };
    })), PREPARATION_LIMIT_MS, "preparation");
    const times = [];
    const begun = performance.now();
    const until = begun + 5000;
    await bounded(Promise.race([server.died, Promise.all(phones.map(async ({ handle, adapter }, index) => {
      for (let round = 0; performance.now() < until; round += 1) {
        const sent = performance.now();
        handle.change((document) => { document.remarks = `phone ${index} round ${round}`; });
        await adapter.acknowledged(handle);
        times.push(performance.now() - sent);
      }
    }))]), LIMIT_MS, "commits");
    report(name, "changes_per_s", times.length / ((performance.now() - begun) / 1000), "acknowledged before it is durable");
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
