// Draws the PNG icons from icon.svg with headless Chromium. Run after changing the drawing; the results are
// committed. `CHROMIUM` names the browser.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const icons = new URL('../public/icons/', import.meta.url).pathname;
const drawing = readFileSync(join(icons, 'icon.svg'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'icons-'));

// A maskable icon is cut to a circle of 80 %: full ground, smaller drawing.
const maskable = drawing
  .replace('rx="112"', 'rx="0"')
  .replace('/>', '/><g transform="translate(51 51) scale(.8)">')
  .replace('</svg>', '</g></svg>');

for (const [name, size, svg] of [
  ['icon-192', 192, drawing],
  ['icon-512', 512, drawing],
  ['maskable-512', 512, maskable],
]) {
  const page = join(folder, `${name}.html`);
  const sized = svg.replace('<svg ', `<svg width="${size}" height="${size}" style="display:block" `);
  writeFileSync(page, `<body style="margin:0;background:transparent">${sized}</body>`);
  execFileSync(
    process.env.CHROMIUM ?? '/usr/bin/chromium',
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--hide-scrollbars',
      '--default-background-color=00000000',
      `--user-data-dir=${join(folder, 'profile')}`,
      `--window-size=${size},${size}`,
      `--screenshot=${join(icons, `${name}.png`)}`,
      `file://${page}`,
    ],
    { stdio: 'ignore' },
  );
}
rmSync(folder, { recursive: true, force: true });
