// Every screen of every role, in one order: how to get there, whatever language is set. Pictures and the
// check of accessibility walk it.

/** A screen: whose it is, what it is called, how to get there from anywhere. */
const screen = (name, go, back) => ({ name, go, back });

const first = (page, selector) => page.locator(selector).first();

/** Goes to an address of the app and waits for its heading. */
async function at(profile, path, ready = 'main h1, .master h1') {
  await profile.page.goto(profile.company.url + path);
  await first(profile.page, ready).waitFor();
}

/** The address of a customer of the list whose line fits. */
async function customerWith(profile, text) {
  await at(profile, '/customers');
  const lines = profile.page.locator('a[href^="/customer/"]');
  await lines.first().waitFor();
  const fitting = text === null ? lines : lines.filter({ hasText: text });
  return (await fitting.count()) > 0 ? fitting.first().getAttribute('href') : lines.first().getAttribute('href');
}

const home = screen('home', (profile) => at(profile, '/'));
const customers = screen('customers', (profile) => at(profile, '/customers', 'a[href^="/customer/"]'));
const search = screen('search', async (profile) => {
  await at(profile, '/customers');
  await first(profile.page, 'input[type=search]').fill('yt');
});
const searchEmpty = screen('search-empty', async (profile) => {
  await at(profile, '/customers');
  await first(profile.page, 'input[type=search]').fill('没有这家');
  await first(profile.page, '.empty').waitFor();
});
const timeline = screen('timeline', async (profile) => {
  const path = await customerWith(profile, /处有两个值|2 values|KH/);
  await at(profile, path, '[data-testid=timeline]');
});
const card = screen('card', async (profile) => {
  const path = await customerWith(profile, /处有两个值|values/);
  await at(profile, `${path}/card`, 'dl');
});
const clash = screen('clash', async (profile) => {
  const path = await customerWith(profile, /处有两个值|values/);
  await at(profile, `${path}/card`, 'dl');
  if ((await profile.page.locator('button.clash').count()) > 0) await first(profile.page, 'button.clash').click();
});
const settings = screen('settings', (profile) => at(profile, '/settings'));
const logout = screen('logout', async (profile) => {
  await at(profile, '/settings');
  await first(profile.page, '[data-testid=logout]').click();
});
const sync = screen('sync', (profile) => at(profile, '/outbox'));
const missing = screen('missing', (profile) => at(profile, '/nowhere', '.empty'));
const devices = screen('devices', (profile) => at(profile, '/devices', '[data-testid=devices]'));
const revoke = screen('revoke', async (profile) => {
  await at(profile, '/devices', '[data-testid=devices]');
  await first(profile.page, '[data-testid=revoke]').click();
});
const transfer = screen('transfer', async (profile) => {
  await at(profile, await customerWith(profile, 'KH'), '[data-testid=transfer]');
  await first(profile.page, '[data-testid=transfer]').click();
  await first(profile.page, 'dialog [role=radio]').waitFor();
});
const comment = screen('comment', async (profile) => {
  await at(profile, await customerWith(profile, 'KH'), '[data-testid=timeline]');
  await first(profile.page, 'button.write').click();
});

/** Opens a new visit of a customer of the rep. */
async function openVisit(profile) {
  await at(profile, await customerWith(profile, 'KH'), '[data-testid=timeline]');
  await first(profile.page, 'main a[href^="/visit/"][href*="customer="]').click();
  await first(profile.page, '#step-people').waitFor();
}

async function writeSome(profile) {
  const { page } = profile;
  await page.locator('[aria-labelledby=step-people] .chip').first().click();
  await page.locator('[aria-labelledby=step-purpose] .chip').nth(4).click();
  await page.locator('[aria-labelledby=step-record] textarea').fill('采购同意首单货到付款，下周出合同。');
}

/** Leaves the form without a draft behind. */
async function leaveVisit(profile) {
  const { page } = profile;
  await page.goto(`${profile.company.url}/outbox`);
  const bins = page.locator('li.draft .icon-button');
  // Arriving is kept as a draft, so there is one.
  await bins.first().waitFor();
  while ((await bins.count()) > 0) {
    const before = await bins.count();
    await bins.first().click();
    await page.locator('dialog .button.danger').click();
    await page.waitForFunction((count) => document.querySelectorAll('li.draft').length < count, before);
  }
}

const REP = [
  home,
  customers,
  search,
  searchEmpty,
  timeline,
  card,
  clash,
  screen('edit', async (profile) => at(profile, `${await customerWith(profile, 'KH')}/edit`, 'form .field')),
  screen('new', (profile) => at(profile, '/customers/new', 'form .field')),
  screen('visit', openVisit, leaveVisit),
  screen(
    'visit-middle',
    async (profile) => {
      await openVisit(profile);
      await writeSome(profile);
      await first(profile.page, '#step-purpose').scrollIntoViewIfNeeded();
    },
    leaveVisit,
  ),
  screen(
    'visit-next',
    async (profile) => {
      await openVisit(profile);
      await writeSome(profile);
      await profile.page.locator('[aria-labelledby=step-quotes] .button').first().click();
      await first(profile.page, '#step-next').evaluate((node) => node.scrollIntoView());
    },
    leaveVisit,
  ),
  screen(
    'visit-photo',
    async (profile) => {
      await openVisit(profile);
      const buffer = await profile.page.screenshot({ type: 'jpeg' });
      await profile.page.locator('input[type=file]').setInputFiles({ name: '铭牌.jpg', mimeType: 'image/jpeg', buffer });
      await first(profile.page, '#step-photos').evaluate((node) => node.scrollIntoView());
      await first(profile.page, '.photos img').waitFor();
      await first(profile.page, '#step-photos').evaluate((node) => node.scrollIntoView());
    },
    leaveVisit,
  ),
  screen(
    'visit-end',
    async (profile) => {
      await openVisit(profile);
      await writeSome(profile);
      await first(profile.page, '[data-testid=finish]').click();
    },
    leaveVisit,
  ),
  screen('visit-edit', async (profile) => {
    await at(profile, await customerWith(profile, 'KH'), '[data-testid=timeline]');
    await first(profile.page, '[data-testid=timeline] a[href^="/visit/"]').click();
    await first(profile.page, 'main .step, main .notice').waitFor();
  }),
  sync,
  screen(
    'sync-waiting',
    async (profile) => {
      await openVisit(profile);
      await writeSome(profile);
      await at(profile, '/outbox', 'li.draft');
    },
    leaveVisit,
  ),
  screen(
    'sync-unsent',
    async (profile) => {
      const { page } = profile;
      await profile.installed();
      await at(profile, await customerWith(profile, 'KH'), '[data-testid=timeline]');
      await profile.context.setOffline(true);
      await page.locator('button.write').click();
      await page.locator('.composer textarea').fill('采购电话里说下周二前要报价，先报四十六号两种包装。');
      await page.locator('.composer .button.primary').click();
      await page.locator('button.write').waitFor();
      await at(profile, '/outbox', '[data-testid=unsent]');
    },
    async (profile) => profile.context.setOffline(false),
  ),
  settings,
  logout,
  missing,
];
const MANAGER = [home, customers, timeline, card, clash, comment, transfer, devices, settings];
const ASSISTANT = [
  home,
  screen('late', (profile) => at(profile, '/late', '.master h1, main h1')),
  customers,
  timeline,
  card,
  clash,
  transfer,
  devices,
  revoke,
  sync,
  settings,
];

/** The screens of each role. */
export const TOUR = { rep: REP, manager: MANAGER, assistant: ASSISTANT };
/** Who plays each role in the demo. */
export const CAST = { rep: '周启明', manager: '方文慧', assistant: '许静' };
