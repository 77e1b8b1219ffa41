// express-pouchdb in the mode that replication needs, on LevelDB files. Prints `ready PORT`.

import { join } from "node:path";

import express from "express";
import expressPouchDB from "express-pouchdb";
import PouchDB from "pouchdb";

const [dir, port] = process.argv.slice(2);
const Store = PouchDB.defaults({ prefix: join(dir, "/") });
const app = express();
app.use("/", expressPouchDB(Store, { mode: "minimumForPouchDB", overrideMode: {} }));
const server = app.listen(Number(port ?? 0), "127.0.0.1", () => console.log(`ready ${server.address().port}`));
process.on("SIGTERM", () => process.exit(0));
