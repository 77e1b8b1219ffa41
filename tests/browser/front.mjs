// A small front before the server that a test can cut: everything, or uploads after so many bytes; and that
// can serve another version of the service worker.
import { EventEmitter, once } from 'node:events';
import { createServer, request } from 'node:http';
import { connect } from 'node:net';

export class Front {
  constructor(port) {
    this.port = port;
    /** No call and no socket gets through. */
    this.cut = false;
    /** Bytes of uploads that still get through; none means all. */
    this.uploadBudget = null;
    /** Bytes of uploads that got through. */
    this.uploaded = 0;
    /** The last answer to an upload is lost on its way. */
    this.loseWhole = false;
    /** Calls of which the server's answer is lost: a pattern of their addresses. */
    this.loses = null;
    /** Stands in the service worker. */
    this.version = null;
    this.sockets = new Set();
    this.events = new EventEmitter();
    this.server = createServer((incoming, outgoing) => this.pass(incoming, outgoing));
    this.server.on('upgrade', (incoming, socket, head) => this.upgrade(incoming, socket, head));
  }

  static open(port) {
    const front = new Front(port);
    return new Promise((resolve) => front.server.listen(0, '127.0.0.1', () => resolve(front)));
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  /** The next time that an upload is cut or its last answer lost. */
  nextCut() {
    return once(this.events, 'cut');
  }

  /** Ends what is open; what comes is refused. */
  cutOff() {
    this.cut = true;
    for (const socket of this.sockets) socket.destroy();
    this.server.closeAllConnections();
  }

  close() {
    for (const socket of this.sockets) socket.destroy();
    this.server.closeAllConnections();
    this.server.close();
  }

  pass(incoming, outgoing) {
    if (this.cut && /^\/(api|sync)/.test(incoming.url)) return outgoing.destroy();
    const isWorker = incoming.url === '/sw.js' && this.version !== null;
    const headers = { ...incoming.headers };
    if (isWorker) for (const name of ['accept-encoding', 'if-none-match']) delete headers[name];
    const passed = request({ host: '127.0.0.1', port: this.port, path: incoming.url, method: incoming.method, headers }, (answer) => {
      if (incoming.method === 'PUT') answer.on('end', () => this.events.emit('uploaded'));
      if (incoming.method === 'PUT' && this.loseWhole) return this.answerUnlessWhole(answer, outgoing);
      if (this.loses?.test(incoming.url)) {
        outgoing.destroy();
        this.events.emit('lost');
        return;
      }
      if (!isWorker) {
        outgoing.writeHead(answer.statusCode, answer.headers);
        answer.pipe(outgoing);
        return;
      }
      const { 'content-length': _, etag: __, ...rest } = answer.headers;
      outgoing.writeHead(answer.statusCode, rest);
      answer.pipe(outgoing, { end: false });
      answer.on('end', () => outgoing.end(`\n// version ${this.version}\n`));
    });
    passed.on('error', () => outgoing.destroy());
    if (incoming.method !== 'PUT') return incoming.pipe(passed);
    incoming.on('data', (bytes) => {
      const room = this.uploadBudget ?? bytes.length;
      if (bytes.length > room) {
        passed.destroy();
        incoming.destroy();
        this.events.emit('cut');
        return;
      }
      if (this.uploadBudget !== null) this.uploadBudget -= bytes.length;
      this.uploaded += bytes.length;
      passed.write(bytes);
    });
    incoming.on('end', () => passed.end());
  }

  answerUnlessWhole(answer, outgoing) {
    const parts = [];
    answer.on('data', (bytes) => parts.push(bytes));
    answer.on('end', () => {
      const body = Buffer.concat(parts);
      if (JSON.parse(body).whole === true) {
        outgoing.destroy();
        this.events.emit('cut');
        return;
      }
      outgoing.writeHead(answer.statusCode, answer.headers);
      outgoing.end(body);
    });
  }

  upgrade(incoming, socket, head) {
    if (this.cut) return socket.destroy();
    const back = connect(this.port, '127.0.0.1', () => {
      const lines = Object.entries(incoming.headers).map(([name, value]) => `${name}: ${value}\r\n`);
      back.write(`GET ${incoming.url} HTTP/1.1\r\n${lines.join('')}\r\n`);
      back.write(head);
      socket.pipe(back).pipe(socket);
    });
    back.on('error', () => socket.destroy());
    socket.on('error', () => back.destroy());
    this.sockets.add(socket);
  }
}
