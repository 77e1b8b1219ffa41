// The spine once more in Firefox: log in, lose the network, write, reload, come back, arrive.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import puppeteer from 'puppeteer-core';
import { Company, PASSWORD } from './daybook.mjs';

const FIREFOX = process.env.FIREFOX ?? '/usr/bin/firefox-esr';
const FACTORY = '青岛泰丰模具制造有限公司';
let company;

before(async () => {
  assert.ok(existsSync(FIREFOX), `no ${FIREFOX}: apt-get install -y --no-install-recommends firefox-esr`);
  company = await Company.open({ 王磊: 'rep', 周强: 'manager' });
});
after(async () => {
  await company?.close();
});

async function fill(page, selector, text) {
  const field = await page.waitForSelector(selector);
  await field.click();
  await page.keyboard.type(text);
}

async function press(page, selector) {
  const found = await page.waitForSelector(selector, { visible: true });
  await found.click();
}

const has = (page, text) => page.waitForFunction((wanted) => document.body.innerText.includes(wanted), {}, text);

// PWA-1, PWA-2
test('Firefox writes without a server, survives a reload, and sends when there is one', async () => {
  const profile = mkdtempSync(join(tmpdir(), 'daybook-firefox-'));
  const browser = await puppeteer.launch({ browser: 'firefox', executablePath: FIREFOX, headless: true, userDataDir: profile });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    await page.evaluateOnNewDocument(() => localStorage.setItem('language', 'zh'));
    await page.goto(company.url);
    await fill(page, 'input[name=name]', '王磊');
    await fill(page, 'input[name=password]', PASSWORD);
    await press(page, 'form button.primary');
    await page.waitForSelector('a[href="/outbox"][data-link="live"]');
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);

    await company.stop();
    await page.goto(`${company.url}/customers/new`);
    await fill(page, 'form input', FACTORY);
    await press(page, 'form .foot button.primary');
    await page.waitForFunction(() => /\/customer\/[0-9a-f]{32}$/.test(location.pathname));
    await press(page, 'main .actions a[href^="/visit/"]');
    await fill(page, '[aria-labelledby=step-record] textarea', '火狐里写的第一条。');
    await press(page, '[data-testid=finish]');
    await press(page, 'dialog .results button');
    // The note that the customer was saved may still stand: only the card's page says that the visit was, too.
    await page.waitForFunction(() => /\/customer\/[0-9a-f]{32}$/.test(location.pathname));
    await has(page, '已存在本机');
    await page.reload();
    await has(page, '火狐里写的第一条。');
    await has(page, '仅本机');

    await company.start();
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await has(page, '已同步');
    company.phone('周强', 'login', company.url, '周强');
    company.phone('周强', 'sync');
    assert.match(company.phone('周强', 'timeline', FACTORY), /火狐里写的第一条。/);
  } finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  }
});
