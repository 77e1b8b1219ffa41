// What waits and what was refused, in words: the outbox lists every unsent edit, and a refused one opens again as a
// form with every word of it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Company, Profile } from './daybook.mjs';

let company;
let rep;
let customer;
let visit;

before(async () => {
  company = await Company.open({ 王磊: 'rep', 周强: 'manager' });
  rep = await Profile.open(company, '王磊');
  await rep.login();
  await rep.settled();
  customer = await rep.createCustomer('烟台恒力机械有限公司', '0535-6388112');
  await rep.writeVisit('第一次写的记录。');
  await rep.settled();
  const entry = rep.page.getByTestId('timeline').locator('article', { hasText: '第一次写的记录。' });
  await entry.getByRole('link', { name: '更多' }).click();
  await rep.page.waitForURL(/\/visit\/[0-9a-f]{32}/);
  visit = /visit\/([0-9a-f]{32})/.exec(rep.page.url())[1];
});
after(async () => {
  await rep?.close();
  await company?.close();
});

// PWA-17, CL-55
test('the outbox says what waits, of which customer, field by field', async () => {
  await rep.context.setOffline(true);
  await rep.page.goto(`${company.url}/visit/${visit}`);
  await rep.page.getByRole('textbox', { name: '记录', exact: true }).fill('改过的记录，多了一句。');
  await rep.page.getByRole('textbox', { name: '问题', exact: true }).fill('滤芯堵了');
  await rep.page.getByRole('button', { name: '保存', exact: true }).click();
  await rep.page.getByText('已存在本机').first().waitFor();
  await rep.page.goto(`${company.url}/outbox`);
  const line = rep.page.getByTestId('unsent').getByRole('listitem').filter({ hasText: '改拜访' }).first();
  await line.getByText('烟台恒力机械有限公司').waitFor();
  await line.getByText('改过的记录，多了一句。').waitFor();
  await line.getByText('滤芯堵了').waitFor();
  await line.getByRole('link').click();
  await rep.page.waitForURL(`${company.url}/visit/${visit}`);
});

// PWA-9
test('what was refused opens again as a form with every word of it, and can be saved', async () => {
  company.run('erase', visit);
  await rep.context.setOffline(false);
  await rep.page.goto(`${company.url}/outbox`);
  const refused = rep.page.getByRole('article').filter({ hasText: '改过的记录，多了一句。' });
  await refused.getByText('滤芯堵了').waitFor();
  assert.equal(await rep.page.getByTestId('unsent').count(), 0);
  await refused.getByRole('button', { name: '打开处理' }).click();
  await rep.page.waitForURL(/\/visit\//);
  assert.equal(await rep.page.getByRole('textbox', { name: '记录', exact: true }).inputValue(), '改过的记录，多了一句。');
  assert.equal(await rep.page.getByRole('textbox', { name: '问题', exact: true }).inputValue(), '滤芯堵了');
  await rep.page.getByRole('button', { name: '结束' }).click();
  await rep.page.getByRole('button', { name: '继续跟进', exact: true }).last().click();
  await rep.page.getByText('已存在本机').first().waitFor();
  await rep.settled();
  await rep.page.goto(`${company.url}/outbox`);
  await rep.page.getByText('没有待处理的事').waitFor();
  company.phone('周强', 'login', company.url, '周强');
  company.phone('周强', 'sync');
  const there = JSON.parse(company.phone('周强', 'timeline', customer));
  assert.equal(there.filter((entry) => entry.text.includes('改过的记录，多了一句。')).length, 1);
  assert.deepEqual(rep.complaints, []);
});
