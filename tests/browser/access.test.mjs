// Everybody can use it: axe finds nothing serious on any screen in either language; the browser itself says
// that the app can be installed; every target is large enough for a thumb.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { Company, Profile } from './daybook.mjs';
import { CAST, TOUR } from './tour.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let company;

before(async () => {
  company = await Company.demo();
});
after(async () => {
  await company.close();
});

/** What axe finds serious or critical, as lines. `rules`: only these. */
async function violations(page, rules = null) {
  const options = rules === null ? {} : { runOnly: { type: 'rule', values: rules } };
  // Evaluated over the debugger's line, which the page's own policy does not forbid.
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: `if (!globalThis.axe) { ${AXE} }` });
  const { result } = await session.send('Runtime.evaluate', {
    expression: `axe.run(document, ${JSON.stringify({ ...options, resultTypes: ['violations'] })}).then(({ violations }) => JSON.stringify(violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => id + ' ' + target.join(' ') + ': ' + failureSummary))))`,
    awaitPromise: true,
    returnByValue: true,
  });
  await session.detach();
  return JSON.parse(result.value);
}

/** Buttons, links and fields of the content that are smaller than a thumb. */
function small(page) {
  return page.evaluate(() => {
    const found = [];
    const open = document.querySelector('dialog[open]');
    for (const node of (open ?? document).querySelectorAll('a[href], button, input, textarea, [role=radio]')) {
      const box = node.getBoundingClientRect();
      if (box.width === 0 || box.height === 0 || node.type === 'file' || node.closest('.skip, .languages')) continue;
      if (node.type === 'checkbox' && node.closest('label') !== null) continue;
      if (box.height < 44 || box.width < 44) found.push(`${node.tagName} ${node.className} ${Math.round(box.width)}x${Math.round(box.height)} ${node.textContent.trim().slice(0, 20)}`);
    }
    return found;
  });
}

// PWA-12: and that the check bites.
test('a button without a name and grey on grey are found', async () => {
  const profile = await Profile.open(company, CAST.rep);
  try {
    await profile.page.locator('form').waitFor();
    await profile.page.evaluate(() => {
      const button = document.createElement('button');
      const words = document.createElement('p');
      words.textContent = 'grey';
      words.style.cssText = 'color: rgb(200, 200, 200); background: rgb(220, 220, 220)';
      button.style.cssText = 'width: 20px; height: 20px';
      document.querySelector('form').append(button, words);
    });
    const found = (await violations(profile.page)).map((line) => line.split(' ')[0]);
    assert.deepEqual([...new Set(found)].sort(), ['button-name', 'color-contrast']);
    assert.equal((await small(profile.page)).length, 1);
  } finally {
    await profile.close();
  }
});

// PWA-12
for (const [language, size] of [['zh', { width: 390, height: 844 }], ['en', { width: 1280, height: 800 }]]) {
  for (const [role, screens] of Object.entries(TOUR)) {
    test(`no screen of the ${role} shuts anybody out (${language}, ${size.width} px)`, async () => {
      const profile = await Profile.open(company, CAST[role], { viewport: size, language, reducedMotion: 'reduce' });
      const found = [];
      // Themes differ in their colours alone.
      const look = async (name) => {
        for (const theme of language === 'zh' ? ['light', 'dark', 'outdoor'] : ['light']) {
          await profile.page.evaluate((shown) => (document.documentElement.dataset.theme = shown), theme);
          const rules = theme === 'light' ? null : ['color-contrast'];
          for (const line of await violations(profile.page, rules)) found.push(`${role}-${name} ${theme}: ${line}`);
        }
      };
      try {
        await look('login');
        await profile.login();
        await profile.caughtUp();
        for (const { name, go, back } of screens) {
          await go(profile);
          await look(name);
          if (size.width === 390) for (const line of await small(profile.page)) found.push(`${role}-${name} small: ${line}`);
          await back?.(profile);
        }
        assert.deepEqual(found, []);
        assert.deepEqual(profile.complaints, []);
      } finally {
        await profile.close();
      }
    });
  }
}

// PWA-13
test('the browser says that the app can be installed', async () => {
  const profile = await Profile.open(company, CAST.rep);
  try {
    await profile.installed();
    const session = await profile.context.newCDPSession(profile.page);
    const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
    assert.deepEqual(installabilityErrors, []);
  } finally {
    await profile.close();
  }
});
