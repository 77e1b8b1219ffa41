// Starts the installed app in Chromium as a phone without network does, with the page's processor slowed four
// times. Prints {"synced_ms"} when the phone holds everything, waits for a line on its input (the server is
// stopped meanwhile), then prints {"first_rows_ms", "usable_ms"}: until customers are drawn from local data, and
// until a tap on the first of them has opened its timeline, which needs the core and one document after another.
//
// usage: offline-start.mjs BASE NAME PASSWORD DOCUMENTS

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { chromium } from "playwright-core";

const [base, name, password, documents] = process.argv.slice(2);
const ROUNDS = 5;
const SLOWER = 4;
const PATIENCE_MS = 120_000;

const profile = mkdtempSync(join(tmpdir(), "daybook-browser-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  viewport: { width: 390, height: 844 },
  locale: "zh-CN",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});

const CUSTOMER = 'main .line a.main[href^="/customer/"]';
const ENTRY = "main article.entry";

/** Counts the documents that the phone has on its disk. */
function stored() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("daybook");
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const database = request.result;
      const count = database.transaction("rows").objectStore("rows").count(IDBKeyRange.bound("doc/", "doc/\uffff"));
      count.onerror = () => reject(count.error);
      count.onsuccess = () => {
        database.close();
        resolve(count.result);
      };
    };
  });
}

/** Runs in the page from its very beginning: notes when rows stand there, taps the first, notes when it opened. */
function observe([customer, entry]) {
  const times = {};
  globalThis.daybookTimes = times;
  const look = () => {
    const row = document.querySelector(customer);
    if (times.rows === undefined && row !== null) {
      times.rows = performance.now();
      row.click();
    }
    if (times.rows !== undefined && location.pathname.startsWith("/customer/") && document.querySelector(entry) !== null) {
      times.opened = performance.now();
      return;
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

async function firstSync() {
  const page = await context.newPage();
  await page.goto(base);
  await page.locator('input[name="name"]').fill(name);
  await page.locator('input[name="password"]').fill(password);
  const begun = performance.now();
  await page.locator("form button.primary").click();
  for (;;) {
    const count = await page.evaluate(stored);
    if (count >= Number(documents)) break;
    if (performance.now() - begun > PATIENCE_MS) throw new Error(`only ${count} documents came`);
    await page.waitForTimeout(50);
  }
  const ms = performance.now() - begun;
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => true));
  // The first visit is not controlled by the service worker, and the first screen is stored when it was drawn.
  await page.goto(base);
  await page.locator(CUSTOMER).first().waitFor({ timeout: PATIENCE_MS });
  await page.waitForTimeout(2000);
  await page.close();
  return ms;
}

async function offlineStart() {
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate: SLOWER });
  await page.addInitScript(observe, [CUSTOMER, ENTRY]);
  await page.goto(base, { waitUntil: "commit", timeout: PATIENCE_MS });
  await page.waitForFunction(() => globalThis.daybookTimes?.opened !== undefined, null, { timeout: PATIENCE_MS });
  const times = await page.evaluate(() => globalThis.daybookTimes);
  await page.close();
  return times;
}

try {
  console.log(JSON.stringify({ synced_ms: await firstSync() }));
  await new Promise((resolve) => createInterface({ input: process.stdin }).once("line", resolve));
  await context.setOffline(true);
  const starts = [];
  for (let round = 0; round < ROUNDS; round += 1) starts.push(await offlineStart());
  console.log(JSON.stringify({
    first_rows_ms: starts.map((start) => start.rows),
    usable_ms: starts.map((start) => start.opened),
  }));
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(0);
