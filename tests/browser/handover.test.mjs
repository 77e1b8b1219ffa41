// A device that was switched off (S6, S7): everything unsent, unfinished forms and photos included, goes into the
// company's keeping; then, and not before, the device is empty, and it says so in plain words.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Company, Profile } from './daybook.mjs';
import { Front } from './front.mjs';

const FACTORY = '烟台恒力机械有限公司';
let company;
let front;
let rep;
let manager;

before(async () => {
  company = await Company.open({ 王磊: 'rep', 陈晓: 'rep', 李静: 'assistant', 周强: 'manager' });
  front = await Front.open(company.port);
  company.phone('周强', 'login', company.url, '周强');
});
after(async () => {
  await rep?.close();
  await manager?.close();
  front?.close();
  await company?.close();
});

const devicesOf = (name) => JSON.parse(company.run('device', 'list', '--json')).filter((one) => one.person_name === name);
const quarantine = () => JSON.parse(company.run('device', 'quarantine', '--json'));
/** The visits in keeping: an edit of one that came later is an item of its own. */
const visits = () => new Set(quarantine().map((item) => item.doc));

async function addPhoto(page) {
  const buffer = await page.screenshot({ type: 'jpeg' });
  await page.locator('input[type=file]').setInputFiles({ name: '铭牌.jpg', mimeType: 'image/jpeg', buffer });
  await page.locator('.photos figure').first().waitFor();
}

// PWA-16, SEC-16, FILE-11
test('a revoked phone hands over records, an unfinished form and a photo, and is empty when the company has them', async (t) => {
  rep = await Profile.open({ url: front.url }, '王磊');
  await rep.login();
  await rep.settled();
  const customer = await rep.createCustomer(FACTORY, '0535-6388112');
  await rep.settled();
  const [{ id }] = devicesOf('王磊');

  await t.test('work is done out of reach, and meanwhile the device is revoked', async () => {
    front.cutOff();
    await rep.page.goto(`${front.url}/customer/${customer}`);
    await rep.page.getByRole('link', { name: '到访', exact: true }).click();
    await addPhoto(rep.page);
    await rep.page.getByRole('textbox', { name: '记录', exact: true }).fill('没传的拜访，带照片。');
    await rep.page.getByRole('button', { name: '结束' }).click();
    await rep.page.getByRole('button', { name: '继续跟进', exact: true }).last().click();
    await rep.page.getByText('已存在本机').first().waitFor();
    await rep.page.getByRole('link', { name: '到访', exact: true }).click();
    await rep.page.getByRole('textbox', { name: '问题', exact: true }).fill('写到一半的问题');
    company.run('device', 'revoke', id);
  });

  await t.test('an answer that is lost leaves everything where it was, and says so', async () => {
    front.loses = /^\/api\/handover$/;
    const lost = once(front.events, 'lost');
    front.cut = false;
    await rep.page.evaluate(() => window.dispatchEvent(new Event('online')));
    await rep.page.getByRole('heading', { name: '这台设备已停用' }).waitFor();
    await lost;
    await rep.page.getByText('内容都还在本机').waitFor();
    await rep.page.getByText(/[1-9]\d* 条记录没传/).waitFor();
    const held = await rep.onDisk();
    for (const words of ['没传的拜访，带照片。', '写到一半的问题', FACTORY]) assert.ok(held.includes(words), words);
    assert.equal(visits().size, 2, 'the visit, and the form that is a visit now');
  });

  await t.test('then the company has all of it, once, and the phone nothing', async () => {
    front.loses = null;
    await rep.page.getByRole('button', { name: '再试一次' }).click();
    await rep.page.getByText(/没传的 [1-9]\d* 条记录、1 张照片已交公司保管/).waitFor();
    await rep.page.locator('input[name=password]').waitFor();
    const held = await rep.onDisk();
    for (const words of ['没传的拜访', '写到一半', '恒力']) assert.ok(!held.includes(words), words);
    assert.equal(visits().size, 2);
    const whole = join(company.data, 'files', 'whole');
    assert.equal(readdirSync(whole, { recursive: true }).filter((name) => /[0-9a-f]{64}$/.test(name)).length, 1);
    // The words stay until somebody logs in.
    await rep.page.reload();
    await rep.page.getByText('本机资料已清空').waitFor();
  });

  await t.test('the desk stores it after all: the manager reads both visits and sees the photo', async () => {
    const desk = await Profile.open(company, '李静', { viewport: { width: 1280, height: 800 } });
    await desk.login();
    await desk.page.goto(`${company.url}/devices`);
    await desk.page.getByTestId('restore').click();
    await desk.page.getByRole('dialog').getByRole('button', { name: '入账', exact: true }).click();
    await desk.page.getByTestId('restore').waitFor({ state: 'detached' });
    await desk.close();
    manager = await Profile.open(company, '周强', { viewport: { width: 1280, height: 800 } });
    await manager.login();
    await manager.page.goto(`${company.url}/customer/${customer}`);
    await manager.page.getByTestId('timeline').getByText('没传的拜访，带照片。').waitFor();
    await manager.page.getByTestId('timeline').getByText('写到一半的问题').waitFor();
    await manager.page.getByTestId('timeline').getByRole('img', { name: '照片' }).first().waitFor();
  });

  await t.test('the same phone begins afresh as another device', async () => {
    await rep.login();
    await rep.settled();
    assert.equal(await rep.page.getByText('本机资料已清空').count(), 0);
    assert.equal(devicesOf('王磊').length, 2);
  });
  assert.deepEqual(rep.complaints, []);
});

// PWA-16, S7
test('the phone of a disabled person does the same', async () => {
  const leaver = await Profile.open({ url: front.url }, '陈晓');
  try {
    await leaver.login();
    await leaver.settled();
    const customer = await leaver.createCustomer('威海海润水产加工有限公司', '0631-5288112');
    await leaver.settled();
    front.cutOff();
    await leaver.page.goto(`${front.url}/customer/${customer}`);
    await leaver.writeVisit('离职前没传的拜访。');
    company.phone('李静', 'login', company.url, '李静');
    company.phone('李静', 'sync');
    company.phone('李静', 'ledger', 'transfer', customer, '--to', '王磊');
    company.phone('李静', 'sync');
    company.run('user', 'disable', '陈晓');
    front.cut = false;
    await leaver.page.evaluate(() => window.dispatchEvent(new Event('online')));
    await leaver.page.getByText('没传的 1 条记录已交公司保管').waitFor();
    assert.ok(!(await leaver.onDisk()).includes('离职前'));
    assert.equal(quarantine().filter((item) => item.person_name === '陈晓').length, 1);
    assert.deepEqual(leaver.complaints, []);
  } finally {
    await leaver.close();
  }
});
