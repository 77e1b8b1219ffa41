// A new version of the app waits for consent and for an empty outbox (S12). A small front stands before the
// server and serves a changed service worker once it is told to.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Company, Profile } from './daybook.mjs';
import { Front } from './front.mjs';

let company;
let front;

before(async () => {
  company = await Company.open({ 王磊: 'rep' });
  front = await Front.open(company.port);
  front.version = 1;
});
after(async () => {
  front.close();
  await company.close();
});

// PWA-6
test('an update is offered, waits for unsent work, and is taken with consent', async () => {
  const { url } = front;
  const rep = await Profile.open({ url }, '王磊');
  try {
    await rep.login();
    await rep.settled();
    await rep.installed();
    await rep.page.reload();
    await rep.installed();

    front.cutOff();
    await rep.createCustomer('青岛泰丰模具制造有限公司');
    front.version = 2;
    await rep.page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).update());
    await rep.page.goto(`${url}/settings`);
    const button = rep.page.getByRole('button', { name: '更新', exact: true });
    await button.waitFor();
    assert.equal(await button.isDisabled(), true, 'unsent work comes first');

    front.cut = false;
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
