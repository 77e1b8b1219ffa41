// Tabs of one browser share one writer (S9). If it goes, another takes over and no keystroke is lost.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Company, Profile } from './daybook.mjs';

let company;
let rep;

before(async () => {
  company = await Company.open({ 王磊: 'rep' });
  rep = await Profile.open(company, '王磊');
  await rep.login();
  await rep.settled();
});
after(async () => {
  await rep.close();
  await company.close();
});

// PWA-5
test('a second tab writes through the first and goes on when the first is closed', async () => {
  const customer = await rep.createCustomer('威海海润水产加工有限公司');
  const second = await rep.tab(`/customer/${customer}`);
  const first = rep.page;
  rep.page = second;
  await rep.writeVisit('从第二个标签页写的。');
  await first.getByTestId('timeline').getByText('从第二个标签页写的。').waitFor();

  // The writer disappears while the other tab has a visit open.
  await second.getByRole('link', { name: '到访', exact: true }).click();
  await second.getByRole('textbox', { name: '记录', exact: true }).fill('写的时候第一个标签页关了。');
  await first.close();
  const began = Date.now();
  await second.getByRole('button', { name: '结束' }).click();
  await second.getByRole('button', { name: '签单', exact: true }).click();
  await second.getByText('已存在本机').first().waitFor();
  assert.ok(Date.now() - began < 5000, 'the other tab took over');
  await second.getByTestId('timeline').getByText('写的时候第一个标签页关了。').waitFor();
  await second.reload();
  await second.getByTestId('timeline').getByText('写的时候第一个标签页关了。').first().waitFor();
  assert.equal(await second.getByTestId('timeline').getByText('写的时候第一个标签页关了。').count(), 1);
  await rep.settled();
  assert.deepEqual(rep.complaints, []);
});
