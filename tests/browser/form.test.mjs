// The visit form as a rep uses it: what must be read first, three taps, and a position only by wish.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Company, Profile } from './daybook.mjs';

let company;
let rep;
let customer;

before(async () => {
  company = await Company.open({ 王磊: 'rep' });
  rep = await Profile.open(company, '王磊', { geolocation: { latitude: 37.463822, longitude: 121.447935 }, permissions: ['geolocation'] });
  await rep.login();
  await rep.settled();
  customer = await rep.createCustomer('烟台恒力机械有限公司', '0535-6388112');
});
after(async () => {
  await rep?.close();
  await company?.close();
});

/** The last visit as the phone's export of the server tells it. */
function visits() {
  company.phone('王磊', 'login', company.url, '王磊');
  company.phone('王磊', 'sync');
  return JSON.parse(company.phone('王磊', 'visit', 'list'));
}

// Domain §6: 到访, 结束, the result.
test('a minimal visit takes three taps from the first screen', async () => {
  await rep.page.goto(company.url);
  await rep.page.getByRole('link', { name: /^到访/ }).first().click();
  await rep.page.getByRole('button', { name: '结束' }).click();
  await rep.page.getByRole('button', { name: '未见到人', exact: true }).last().click();
  await rep.page.getByText('已存在本机').first().waitFor();
  await rep.settled();
  assert.equal(visits().length, 1);
});

// PWA-10
test('a position is kept by wish only, coarse, and taken back with a tap', async () => {
  await rep.page.goto(`${company.url}/customer/${customer}`);
  await rep.page.getByRole('link', { name: '到访', exact: true }).click();
  await rep.page.getByText('位置不记录').waitFor();
  await rep.page.getByRole('button', { name: '记下位置' }).click();
  await rep.page.getByText('位置已记，约 100 米内').waitFor();
  await rep.page.getByRole('button', { name: '不记' }).click();
  await rep.page.getByText('位置不记录').waitFor();
  await rep.page.getByRole('button', { name: '记下位置' }).click();
  await rep.page.getByText('位置已记').waitFor();
  await rep.page.getByRole('textbox', { name: '记录', exact: true }).fill('在厂门口。');
  await rep.page.getByRole('button', { name: '结束' }).click();
  await rep.page.getByRole('button', { name: '继续跟进', exact: true }).last().click();
  await rep.settled();
  await rep.page.getByTestId('timeline').locator('article', { hasText: '在厂门口。' }).getByRole('link', { name: '更多' }).click();
  await rep.page.getByText('位置已记，约 100 米内').waitFor();
});

// PWA-11
test('the form begins with open actions, changes of people, and the last visits', async () => {
  await rep.page.goto(`${company.url}/customer/${customer}`);
  await rep.page.getByRole('link', { name: '到访', exact: true }).click();
  await rep.page.getByRole('textbox', { name: '记录', exact: true }).fill('谈了样品。');
  await rep.page.getByRole('button', { name: '送样', exact: true }).last().click();
  await rep.page.getByRole('button', { name: /^3天后/ }).click();
  await rep.page.getByRole('button', { name: '结束' }).click();
  await rep.page.getByRole('button', { name: '继续跟进', exact: true }).last().click();
  await rep.page.getByText('已存在本机').first().waitFor();
  await rep.page.goto(`${company.url}/customer/${customer}/card`);
  await rep.page.getByRole('button', { name: '离职…' }).click();
  await rep.page.getByRole('button', { name: '记下离职' }).click();
  await rep.page.getByText('已存在本机').first().waitFor();
  await rep.page.goto(`${company.url}/customer/${customer}`);
  await rep.page.getByRole('link', { name: '到访', exact: true }).click();
  const before = rep.page.getByRole('region', { name: '去之前看一眼' });
  await before.getByText('送样').waitFor();
  await before.getByText(/离职/).waitFor();
  await before.getByText('谈了样品。').waitFor();
  assert.deepEqual(rep.complaints, []);
});

// PWA-10, HUB-15, CL-47
test('where the office keeps no positions, none is asked for: not of an open form, not without a network', async () => {
  await rep.page.goto(`${company.url}/customer/${customer}`);
  await rep.page.getByRole('link', { name: '到访', exact: true }).click();
  await rep.page.getByText('位置已记').waitFor();
  company.run('settings', '--position-allowed', 'false');
  await rep.page.getByRole('button', { name: '不记' }).click();
  await rep.page.getByText('公司不记录位置').waitFor();
  assert.equal(await rep.page.getByRole('button', { name: '记下位置' }).count(), 0);
  await rep.context.setOffline(true);
  await rep.page.reload();
  await rep.page.getByText('公司不记录位置').waitFor();
  await rep.context.setOffline(false);
  assert.deepEqual(rep.complaints, []);
});
