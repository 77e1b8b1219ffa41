// The path of the product in real browsers: a visit written without signal reaches the manager's open
// timeline; the assistant accepts and moves the customer while the rep still has unsent work (S2).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Company, Profile } from './daybook.mjs';

const FACTORY = '烟台恒力机械有限公司';
let company;
const profiles = [];

async function open(name, options) {
  const profile = await Profile.open(company, name, options);
  profiles.push(profile);
  await profile.login();
  return profile;
}

before(async () => {
  company = await Company.open({ 王磊: 'rep', 陈晓: 'rep', 李静: 'assistant', 周强: 'manager' });
});
after(async () => {
  for (const profile of profiles) await profile.close();
  await company.close();
});

// PWA-1, PWA-2, PWA-3, PWA-4
test('work written without a network survives a reload and a closed browser, and arrives everywhere', async (t) => {
  const rep = await open('王磊');
  await rep.settled();
  await rep.installed();
  let customer;

  await t.test('with the network cut and the server stopped the app opens again', async () => {
    await company.stop();
    await rep.context.setOffline(true);
    await rep.page.reload();
    await rep.page.getByRole('heading', { name: /王磊/ }).waitFor();
  });

  await t.test('a customer and a visit are written, and only the store makes them saved', async () => {
    customer = await rep.createCustomer(FACTORY, '0535-6388112');
    await rep.writeVisit('液压站六台，现用长城四十六号，愿意试样。');
    const entry = rep.page.getByTestId('timeline').getByText('液压站六台');
    await entry.waitFor();
    await rep.page.getByTestId('timeline').getByText('仅本机').first().waitFor();
  });

  await t.test('the browser is closed and opened again: everything is there and counted', async () => {
    await rep.stop();
    await rep.start('/').catch(() => null);
    await rep.context.setOffline(true);
    await rep.page.goto(`${company.url}/customer/${customer}`);
    await rep.page.getByTestId('timeline').getByText('液压站六台').waitFor();
    await rep.page.locator('a[href="/outbox"]:visible', { hasText: /\d+ 条未传/ }).waitFor();
  });

  await t.test('a draft is on disk within a second', async () => {
    await rep.page.getByRole('link', { name: '到访', exact: true }).click();
    await rep.page.getByRole('textbox', { name: '记录', exact: true }).fill('写到一半的话');
    // The rule itself is a time: what was typed a second ago is on disk.
    await rep.page.waitForTimeout(1000);
    await rep.stop();
    await rep.start('/').catch(() => null);
    await rep.context.setOffline(true);
    await rep.page.goto(`${company.url}/`);
    await rep.page.getByRole('heading', { name: '没写完的记录' }).waitFor();
    await rep.page.locator('a[href^="/visit/"]', { hasText: '恒力' }).first().click();
    assert.equal(await rep.page.getByRole('textbox', { name: '记录', exact: true }).inputValue(), '写到一半的话');
    await rep.page.getByRole('button', { name: '结束' }).click();
    await rep.page.getByRole('button', { name: '未见到人', exact: true }).click();
    await rep.page.waitForURL(/\/customer\//);
  });

  await t.test('the manager sees it arrive in an open screen without a reload', async () => {
    await company.start();
    const manager = await open('周强', { viewport: { width: 1280, height: 800 } });
    await manager.settled();
    await manager.page.getByText('还没有动态').waitFor();
    await rep.context.setOffline(false);
    await manager.page.getByTestId('feed').getByText('液压站六台').waitFor();
    await manager.page.getByRole('link', { name: FACTORY }).first().click();
    await manager.page.getByTestId('timeline').getByText('写到一半的话').waitFor();
    await rep.settled();

    // The timeline stays open; the next visit comes in by itself.
    await rep.page.goto(`${company.url}/customer/${customer}`);
    await rep.writeVisit('样品已收到，下周试机。');
    await manager.page.getByTestId('timeline').getByText('样品已收到，下周试机。').waitFor();
    await manager.page.getByRole('button', { name: '写一句批示…' }).click();
    await manager.page.getByRole('textbox', { name: '批示', exact: true }).fill('试机时请到场。');
    await manager.page.getByRole('button', { name: '发出批示' }).click();
    await rep.page.getByTestId('timeline').getByText('试机时请到场。').waitFor();
    assert.deepEqual(manager.complaints, []);
  });

  await t.test('the assistant accepts it and moves it while the rep has unsent work', async () => {
    const assistant = await open('李静', { viewport: { width: 1280, height: 800 } });
    await assistant.settled();
    const line = assistant.page.getByTestId('inbox').locator('li', { hasText: FACTORY });
    await line.getByText('可以受理').waitFor();
    await assistant.page.keyboard.press('Enter');
    await assistant.page.getByText('都核完了').waitFor();
    await rep.page.getByText('KH00001').first().waitFor();

    // The rep goes out of reach, edits the card and visits; meanwhile the customer goes to somebody else.
    await rep.context.setOffline(true);
    await rep.page.goto(`${company.url}/customer/${customer}/edit`);
    await rep.page.getByLabel('详细地址', { exact: true }).fill('高新路 16 号');
    await rep.page.getByRole('button', { name: '保存', exact: true }).click();
    await rep.page.waitForURL(/\/card$/);

    await assistant.page.goto(`${company.url}/customer/${customer}`);
    await assistant.page.getByRole('button', { name: '移交', exact: true }).first().click();
    await assistant.page.getByRole('radio', { name: /陈晓/ }).click();
    await assistant.page.getByRole('dialog').getByRole('button', { name: '移交', exact: true }).click();
    await assistant.page.getByText(/负责人 陈晓/).first().waitFor();

    await rep.page.goto(`${company.url}/customer/${customer}`);
    await rep.writeVisit('移交之后又去了一趟。');
    await rep.context.setOffline(false);

    await assistant.page.getByTestId('late').getByText('高新路 16 号').waitFor();
    await assistant.page.getByTestId('timeline').getByText('移交之后又去了一趟。').waitFor();
    await assistant.page.getByTestId('timeline').getByText('移交后拜访').first().waitFor();
    await assistant.page.getByTestId('late').getByRole('button', { name: '采用', exact: true }).click();
    await assistant.page.getByTestId('late').waitFor({ state: 'detached' });
    await assistant.page.getByRole('tab', { name: '资料卡' }).click();
    await assistant.page.getByText('高新路 16 号').first().waitFor();

    await rep.page.goto(`${company.url}/`);
    await rep.page.getByText(/已移交给陈晓/).waitFor();
    await rep.page.goto(`${company.url}/customer/${customer}`);
    await rep.page.getByText('这台设备上没有这份资料').waitFor();

    await assistant.page.goto(`${company.url}/devices`);
    await assistant.page.getByTestId('devices').getByText('王磊').first().waitFor();
    assert.deepEqual(assistant.complaints, []);
  });
  assert.deepEqual(rep.complaints, []);
});

// PWA-18
test('what is called saved is counted as unsent at that moment, before anything else is told to the screen', async () => {
  const rep = await open('陈晓');
  await rep.settled();
  await rep.installed();
  await rep.context.setOffline(true);
  // From the next screen on it hears answers alone, and not that something changed.
  await rep.page.addInitScript(() => {
    window.Worker = class extends window.Worker {
      set onmessage(hear) {
        super.onmessage = (event) => event.data.type === 'changed' || hear(event);
      }
    };
  });
  await rep.createCustomer('蓬莱海源水产有限公司');
  await rep.page.locator('a[href="/outbox"]:visible', { hasText: '1 条未传' }).first().waitFor();
  assert.deepEqual(rep.complaints, []);
});
