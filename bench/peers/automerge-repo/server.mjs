// A sync server as automerge-repo's own example has it: WebSocket adapter, file storage, announcing nothing.

import { Repo } from "@automerge/automerge-repo";
import { WebSocketServerAdapter } from "@automerge/automerge-repo-network-websocket";
import { NodeFSStorageAdapter } from "@automerge/automerge-repo-storage-nodefs";
import { WebSocketServer } from "ws";

const [dir, port] = process.argv.slice(2);
const sockets = new WebSocketServer({ port: Number(port ?? 0), host: "127.0.0.1", perMessageDeflate: false });
const repo = new Repo({
  network: [new WebSocketServerAdapter(sockets)],
  storage: new NodeFSStorageAdapter(dir),
  peerId: "server",
  sharePolicy: async () => false,
});
sockets.on("listening", () => console.log(`ready ${sockets.address().port}`));
process.on("SIGTERM", async () => {
  await repo.flush().catch(() => {});
  process.exit(0);
});
