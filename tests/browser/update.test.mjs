// A new version of the app waits for consent and for an empty outbox (S12). A small front stands before the
// server and serves a changed service worker once it is told to.
import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { Company, Profile } from './daybook.mjs';

let company;
let front;
let version = 1;
let cut = false;

/** Passes everything to the server, except that `sw.js` carries the version. */
function openFront(port) {
  const server = createServer((incoming, outgoing) => {
    if (cut && /^\/(api|sync)/.test(incoming.url)) return outgoing.destroy();
    const headers = { ...incoming.headers };
    if (incoming.url === '/sw.js') delete headers['accept-encoding'];
    if (incoming.url === '/sw.js') delete headers['if-none-match'];
    const passed = request({ host: '127.0.0.1', port, path: incoming.url, method: incoming.method, headers }, (answer) => {
      if (incoming.url !== '/sw.js') {
        outgoing.writeHead(answer.statusCode, answer.headers);
        answer.pipe(outgoing);
        return;
      }
      const { 'content-length': _, etag: __, ...rest } = answer.headers;
      outgoing.writeHead(answer.statusCode, rest);
      answer.pipe(outgoing, { end: false });
      answer.on('end', () => outgoing.end(`\n// version ${version}\n`));
    });
    passed.on('error', () => outgoing.destroy());
    incoming.pipe(passed);
  });
  server.on('upgrade', (incoming, socket, head) => {
    if (cut) return socket.destroy();
    const back = connect(port, '127.0.0.1', () => {
      const lines = Object.entries(incoming.headers).map(([name, value]) => `${name}: ${value}\r\n`);
      back.write(`GET ${incoming.url} HTTP/1.1\r\n${lines.join('')}\r\n`);
      back.write(head);
      socket.pipe(back).pipe(socket);
    });
    back.on('error', () => socket.destroy());
    socket.on('error', () => back.destroy());
    sockets.add(socket);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}
const sockets = new Set();

before(async () => {
  company = await Company.open({ 王磊: 'rep' });
  front = await openFront(company.port);
});
after(async () => {
  for (const socket of sockets) socket.destroy();
  front.closeAllConnections();
  front.close();
  await company.close();
});

// PWA-6
test('an update is offered, waits for unsent work, and is taken with consent', async () => {
  const url = `http://127.0.0.1:${front.address().port}`;
  const rep = await Profile.open({ url }, '王磊');
  try {
    await rep.login();
    await rep.settled();
    await rep.installed();
    await rep.page.reload();
    await rep.installed();

    cut = true;
    for (const socket of sockets) socket.destroy();
    await rep.createCustomer('青岛泰丰模具制造有限公司');
    version = 2;
    await rep.page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).update());
    await rep.page.goto(`${url}/settings`);
    const button = rep.page.getByRole('button', { name: '更新', exact: true });
    await button.waitFor();
    assert.equal(await button.isDisabled(), true, 'unsent work comes first');

    cut = false;
    await rep.page.evaluate(() => window.dispatchEvent(new Event('online')));
    await rep.page.waitForFunction(() => !document.querySelector('.notice button')?.hasAttribute('disabled'));
    const reloaded = rep.page.waitForEvent('load');
    await button.click();
    await reloaded;
    await rep.page.getByRole('heading', { name: '设置' }).waitFor();
    assert.equal(await button.count(), 0, 'the new version is in charge');
    const waiting = await rep.page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).waiting);
    assert.equal(waiting, null);
  } finally {
    await rep.close();
  }
});
