// Pictures of every screen on a phone and on a desktop, light and dark, with invented data, to be looked at
// one by one: node pictures.mjs [FOLDER] [name ...]. With DAYBOOK_COMPANY=URL an already running server is used.
import { mkdirSync } from 'node:fs';
import { Company, Profile } from './daybook.mjs';
import { seed } from './seed.mjs';

const folder = process.argv[2] ?? '/tmp/daybook-pictures';
const only = process.argv.slice(3);
const PHONE = { reducedMotion: 'reduce', viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const DESKTOP = { reducedMotion: 'reduce', viewport: { width: 1280, height: 800 } };
mkdirSync(folder, { recursive: true });

const company = process.env.DAYBOOK_COMPANY
  ? { url: process.env.DAYBOOK_COMPANY, close: async () => {} }
  : await Company.open({ 王磊: 'rep', 陈晓: 'rep', 李静: 'assistant', 周强: 'manager' });
if (!process.env.DAYBOOK_COMPANY) seed(company);

function idOf(page, name) {
  return page.locator('a[href^="/customer/"]', { hasText: name }).first().getAttribute('href').then((path) => path.split('/')[2]);
}

async function screens(profile, role, size) {
  const { page } = profile;
  const wanted = (name) => only.length === 0 || only.some((one) => `${role}-${name}`.includes(one));
  const shoot = async (name, go) => {
    if (!wanted(name)) return;
    await go();
    await page.waitForLoadState('networkidle');
    for (const scheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.screenshot({ path: `${folder}/${role}-${name}-${size}-${scheme}.png` });
    }
    await page.emulateMedia({ colorScheme: 'light' });
  };
  const at = (path) => async () => {
    await page.goto(company.url + path);
    await page.locator('main h1, section h1').first().waitFor();
  };
  await shoot('home', at('/'));
  await at('/customers')();
  const first = await idOf(page, role === 'assistant' ? '海润水产' : '恒力机械');
  await shoot('customers', at('/customers'));
  await shoot('timeline', async () => {
    await at(`/customer/${first}`)();
    await page.getByTestId('timeline').waitFor();
  });
  await shoot('card', async () => {
    await at(`/customer/${first}/card`)();
    await page.getByRole('heading', { name: '联系人' }).waitFor();
  });
  await shoot('settings', at('/settings'));
  await shoot('sync', at('/outbox'));
  if (role === 'rep') {
    await shoot('clash', async () => {
      await at(`/customer/${first}/card`)();
      await page.locator('button.clash').click();
    });
    await shoot('edit', at(`/customer/${first}/edit`));
    await shoot('new', at('/customers/new'));
    await shoot('visit', async () => {
      await at(`/customer/${first}`)();
      await page.getByRole('link', { name: '到访', exact: true }).click();
      await page.getByRole('heading', { name: '见到了谁' }).waitFor();
    });
    await shoot('visit-middle', async () => {
      await page.getByRole('heading', { name: '目的' }).scrollIntoViewIfNeeded();
      await page.getByRole('button', { name: '报价', exact: true }).first().click();
      await page.getByRole('textbox', { name: '记录', exact: true }).fill('采购同意首单货到付款，下周出合同。');
      await page.getByRole('textbox', { name: '对策', exact: true }).scrollIntoViewIfNeeded();
    });
    await shoot('visit-end', async () => {
      await page.getByRole('button', { name: '结束' }).click();
    });
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: '先放着' }).click({ timeout: 5000 }).catch(() => null);
  }
  if (role === 'assistant') {
    await shoot('late', at('/late'));
    await shoot('devices', async () => {
      await at('/devices')();
      await page.getByTestId('devices').waitFor();
    });
    await shoot('transfer', async () => {
      await at(`/customer/${first}`)();
      await page.getByRole('button', { name: '移交' }).click();
    });
  }
}

for (const [size, options] of [['390', PHONE], ['1280', DESKTOP]]) {
  for (const [name, role] of [['王磊', 'rep'], ['周强', 'manager'], ['李静', 'assistant']]) {
    const profile = await Profile.open(company, name, options);
    if (role === 'rep' && only.length === 0) await profile.page.screenshot({ path: `${folder}/login-${size}-light.png` });
    try {
      await profile.login();
      await profile.settled().catch(() => null);
      await screens(profile, role, size);
    } catch (problem) {
      console.error(`${role} ${size}: ${problem}`);
      await profile.page.screenshot({ path: `${folder}/failed-${role}-${size}.png` });
    }
    if (profile.complaints.length > 0) console.error(role, size, profile.complaints);
    await profile.close();
  }
}
await company.close();
