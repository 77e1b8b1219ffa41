// Puts pictures of the demo together for the README: node overview.mjs PICTURES-FOLDER.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const from = process.argv[2] ?? '/tmp/daybook-pictures';
const to = new URL('../../docs/pictures/', import.meta.url).pathname;
const image = (name, kind) =>
  `<img class="${kind}" src="data:image/png;base64,${readFileSync(`${from}/${name}.png`).toString('base64')}">`;
const phone = (name) => image(name, 'phone');
const desk = (name) => image(name, 'desk');
const SHEETS = {
  overview: phone('rep-home-390-light') + desk('manager-timeline-1280-light'),
  visit: ['rep-visit', 'rep-visit-middle', 'rep-visit-next', 'rep-visit-end'].map((one) => phone(`${one}-390-light`)).join(''),
};

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const page = await browser.newPage({ viewport: { width: 1900, height: 900 } });
for (const [name, images] of Object.entries(SHEETS)) {
  await page.setContent(`<style>
    body { margin: 0; width: max-content; display: flex; align-items: center; padding: 40px 44px; background: #e6dfce; }
    img { display: block; box-shadow: 0 14px 40px rgb(40 32 16 / 28%); }
    .phone { height: 720px; border: 9px solid #1f2c3d; border-radius: 34px; z-index: 1; }
    .phone + .phone { margin-left: 28px; }
    .phone + .desk { margin-left: -14px; }
    .desk { height: 780px; border-radius: 12px; }
  </style>${images}`);
  await page.locator('body').screenshot({ path: `${to}${name}.png` });
}
await browser.close();
