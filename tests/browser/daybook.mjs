// A real server and real browsers for the tests: starts `daybook` on a fresh folder, opens profiles of
// Chromium, and says in one place how a person does things on screen. `DAYBOOK_BIN` and `CHROMIUM` name the
// programs.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { on } from 'node:events';
import { appendFileSync, existsSync, mkdtempSync, readdirSync, rmSync, watch, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { chromium } from 'playwright-core';

const ROOT = new URL('../../', import.meta.url).pathname;
export const DAYBOOK = process.env.DAYBOOK_BIN ?? join(ROOT, 'target/debug/daybook');
export const SIM = join(ROOT, 'target/debug/sim');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const PASSWORD = 'open-the-daybook-7';
const DEMO_PASSWORD = 'daybook-demo';
/** Slow machines take their time; nothing here waits longer than it must. */
const PATIENCE_MS = 90_000;

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** One company's server on its own folder and port. */
export class Company {
  constructor(folder, port) {
    this.folder = folder;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.process = null;
    this.password = PASSWORD;
  }

  /** The invented organisation of `daybook demo`. */
  static async demo() {
    const company = new Company(mkdtempSync(join(tmpdir(), 'daybook-browser-')), await freePort());
    company.password = DEMO_PASSWORD;
    company.run('demo');
    await company.start();
    return company;
  }

  /** A demo that somebody else serves. */
  static running(url) {
    return { url, password: DEMO_PASSWORD, close: async () => {} };
  }

  /** A fresh folder with the given people: `{ 王磊: 'rep' }`. */
  static async open(people) {
    if (!existsSync(DAYBOOK)) throw new Error(`no ${DAYBOOK}: cargo build -p server`);
    const company = new Company(mkdtempSync(join(tmpdir(), 'daybook-browser-')), await freePort());
    company.run('init');
    for (const [name, role] of Object.entries(people)) company.run('user', 'add', name, '--role', role, '--team', '华东一组');
    await company.start();
    return company;
  }

  get data() {
    return join(this.folder, 'data');
  }

  /** A command of the binary on this server's folder. */
  run(...words) {
    const environment = { ...process.env, DAYBOOK_PASSWORD: PASSWORD };
    return execFileSync(DAYBOOK, [...words, '--data', this.data], { env: environment, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** A command of a headless phone. */
  phone(name, ...words) {
    const environment = { ...process.env, DAYBOOK_PASSWORD: PASSWORD };
    const folder = join(this.folder, `phone-${name}`);
    return execFileSync(DAYBOOK, ['--json', 'device', '--dir', folder, ...words], { env: environment, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  start() {
    return new Promise((resolve, reject) => {
      const server = spawn(DAYBOOK, ['serve', '--data', this.data, '--listen', `127.0.0.1:${this.port}`], { stdio: ['ignore', 'pipe', 'pipe'] });
      this.process = server;
      server.stderr.resume();
      server.stdout.on('data', (bytes) => {
        if (String(bytes).includes('ready')) resolve();
      });
      server.once('exit', (status) => reject(new Error(`the server ended: ${status}`)));
    });
  }

  /** Stops the server as an operator would. */
  stop() {
    return new Promise((resolve) => {
      if (this.process === null) return resolve();
      this.process.removeAllListeners('exit');
      this.process.once('exit', () => resolve());
      this.process.kill('SIGTERM');
      this.process = null;
    });
  }

  async close() {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One browser profile: a phone or a desktop of one person. Survives closing and opening again. */
export class Profile {
  constructor(company, name, { language = 'zh', ...options }) {
    this.language = language;
    this.company = company;
    this.name = name;
    this.options = options;
    this.folder = mkdtempSync(join(tmpdir(), 'daybook-profile-'));
    this.context = null;
    this.page = null;
    /** Everything that the page complained about; a test may look. */
    this.complaints = [];
  }

  static async open(company, name, options = {}) {
    const profile = new Profile(company, name, { viewport: { width: 390, height: 844 }, ...options });
    await profile.start();
    return profile;
  }

  async start(path = '/') {
    this.context = await chromium.launchPersistentContext(this.folder, {
      executablePath: CHROMIUM,
      args: FLAGS,
      locale: 'zh-CN',
      timezoneId: 'Asia/Shanghai',
      ...this.options,
    });
    this.context.setDefaultTimeout(PATIENCE_MS);
    this.page = this.context.pages()[0] ?? (await this.context.newPage());
    this.listen(this.page);
    await this.context.addInitScript((language) => localStorage.setItem('language', language), this.language);
    await this.page.goto(this.company.url + path);
  }

  listen(page) {
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' && !/net::ERR|Failed to load resource/.test(message.text())) this.complaints.push(message.text());
    });
  }

  /** Another tab of the same browser. */
  async tab(path = '/') {
    const page = await this.context.newPage();
    this.listen(page);
    await page.goto(this.company.url + path);
    return page;
  }

  async stop() {
    await this.context?.close();
    this.context = null;
  }

  async close() {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async login() {
    await this.page.locator('input[name=name]').fill(this.name);
    await this.page.locator('input[name=password]').fill(this.company.password ?? PASSWORD);
    await this.page.locator('form button.primary').click();
    await this.page.getByRole('navigation').waitFor();
  }

  /** Logs in again as the person whose device it is. */
  async loginAgain() {
    await this.page.locator('input[name=password]').fill(this.company.password ?? PASSWORD);
    await this.page.locator('form button.primary').click();
  }

  /** Waits until this browser is connected and has caught up, whatever language it speaks. */
  async caughtUp() {
    await this.page.locator('a[href="/outbox"][data-link="live"]:visible').first().waitFor();
  }

  /** Waits until this browser's connection stands and nothing is unsent. */
  async settled() {
    await this.page.locator('a[href="/outbox"][data-link="live"]:visible', { hasText: '已同步' }).first().waitFor();
  }

  /** Waits until the service worker can open the app without a network. */
  async installed() {
    await this.page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  }

  /** As which actor this installation writes, and whether it had to give one up: what its own row `meta` says. */
  async actor(page = this.page) {
    const bytes = await page.evaluate(async () => {
      const settled = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
      const database = await settled(indexedDB.open('daybook'));
      const meta = await settled(database.transaction('rows').objectStore('rows').get('meta'));
      database.close();
      return Array.from(meta);
    });
    // An array of CBOR: the format, 16 bytes of the actor, the array of former ones.
    const at = bytes[0] < 0x98 ? 1 : 2;
    assert.deepEqual(bytes.slice(at, at + 2), [1, 0x50], 'the row begins as rows.rs says');
    return { actor: Buffer.from(bytes.slice(at + 2, at + 18)).toString('hex'), gaveUp: bytes[at + 18] !== 0x80 };
  }

  /** What a failure should tell of the screen: its address, its words, what the page complained about, and the store's words. */
  async looks() {
    const inTime = (promise) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 5_000, 'no answer'))]).catch(String);
    const [words, stored] = [await inTime(this.page.locator('body').innerText()), await inTime(this.onDisk())];
    return [this.page.url(), JSON.stringify(words), JSON.stringify(this.complaints), JSON.stringify(stored.replaceAll(/[^\p{L}\p{N}\p{P} ]+/gu, ' '))].join('\n');
  }

  /** Everything that this device's store holds, as one text. */
  async onDisk() {
    return this.page.evaluate(async () => {
      const settled = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
      const database = await settled(indexedDB.open('daybook'));
      let text = '';
      for (const name of database.objectStoreNames) {
        for (const value of await settled(database.transaction(name).objectStore(name).getAll())) {
          text += value instanceof Uint8Array ? new TextDecoder().decode(value) : JSON.stringify(value);
        }
      }
      database.close();
      return text;
    });
  }

  async createCustomer(name, phone) {
    await this.page.goto(`${this.company.url}/customers/new`);
    await this.page.getByLabel('全称', { exact: true }).fill(name);
    if (phone !== undefined) {
      await this.page.getByRole('button', { name: '添加电话' }).click();
      await this.page.getByLabel('号码', { exact: true }).fill(phone);
      await this.page.getByRole('button', { name: '添加联系人' }).click();
      await this.page.getByLabel('姓名', { exact: true }).fill('赵经理');
    }
    await this.page.getByRole('button', { name: '建档' }).click();
    await this.page.waitForURL(/\/customer\/[0-9a-f]{32}$/);
    return this.page.url().split('/').at(-1);
  }

  /** Writes a visit of the customer that is open: three taps and a text. */
  async writeVisit(text, result = '继续跟进') {
    await this.page.getByRole('link', { name: '到访', exact: true }).click();
    await this.page.getByRole('textbox', { name: '记录', exact: true }).fill(text);
    await this.page.getByRole('button', { name: '结束' }).click();
    await this.page.getByRole('button', { name: result, exact: true }).last().click();
    await this.page.getByText('已存在本机').first().waitFor();
  }
}

/** A profile whose browser is a process group of its own, so that it can be killed with all its children. */
export class KillableProfile extends Profile {
  static async open(company, name, options = {}) {
    const profile = new KillableProfile(company, name, { viewport: { width: 390, height: 844 }, ...options });
    await profile.start();
    return profile;
  }

  async start(path = '/') {
    const words = ['--headless', '--remote-debugging-port=0', `--user-data-dir=${this.folder}`, '--lang=zh-CN', ...FLAGS, 'about:blank'];
    this.process = spawn(CHROMIUM, words, { detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
    const address = await new Promise((resolve, reject) => {
      let told = '';
      this.process.stderr.on('data', (bytes) => {
        told += bytes;
        const found = /DevTools listening on (ws:\S+)/.exec(told);
        if (found !== null) resolve(found[1]);
      });
      this.process.once('exit', (status) => reject(new Error(`the browser ended: ${status}\n${told}`)));
    });
    this.browser = await chromium.connectOverCDP(address);
    [this.context] = this.browser.contexts();
    this.context.setDefaultTimeout(PATIENCE_MS);
    this.page = this.context.pages()[0] ?? (await this.context.newPage());
    this.listen(this.page);
    await this.context.addInitScript((language) => localStorage.setItem('language', language), this.language);
    await this.page.goto(this.company.url + path);
  }

  /** Kills the browser and every process that it started, at once. */
  async kill() {
    const gone = new Promise((resolve) => this.process.once('exit', resolve));
    process.kill(-this.process.pid, 'SIGKILL');
    await gone;
    await this.browser.close().catch(() => null);
    this.context = null;
  }

  /** Ends the browser as a person does. */
  async quit() {
    const gone = new Promise((resolve) => this.process.once('exit', resolve));
    await (await this.browser.newBrowserCDPSession()).send('Browser.close');
    await gone;
    this.context = null;
  }

  async stop() {
    if (this.context !== null) await this.kill();
  }

  /** The files in which Chromium keeps the app's database, whose names end like this. */
  databaseFiles(ending) {
    const folder = join(this.folder, 'Default/IndexedDB');
    const name = readdirSync(folder).find((each) => each.endsWith('.indexeddb.leveldb'));
    const files = readdirSync(join(folder, name)).filter((each) => ending.test(each));
    return files.sort().map((each) => join(folder, name, each));
  }

  /** What a kill leaves that hits Chromium between the two writes of a record: its header, and some of what it announces. */
  tearLog() {
    const log = this.databaseFiles(/\.log$/).at(-1);
    appendFileSync(log, Buffer.concat([Buffer.from([1, 2, 3, 4, 0xe8, 0x03, 1]), Buffer.alloc(100, 7)]));
    return log;
  }

  /** What the browser cannot read any more. */
  spoil() {
    for (const file of this.databaseFiles(/^MANIFEST/)) writeFileSync(file, 'nothing of use');
  }
}

/** Waits until there is no such file. */
export async function gone(path) {
  const folder = watch(dirname(path));
  const changes = on(folder, 'change', { signal: AbortSignal.timeout(PATIENCE_MS) });
  while (existsSync(path)) await changes.next();
  folder.close();
}
