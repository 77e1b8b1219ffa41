// The browser dies or forgets: its whole process group killed while the app writes, and its storage cleared
// under the running app. What was shown as saved is there; what was lost is fetched anew under a new actor.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Company, KillableProfile, Profile } from './daybook.mjs';

/** How often the browser is killed; 50 by hand: KILLS=50 node --test storage.test.mjs */
const KILLS = Number(process.env.KILLS ?? 10);
let company;

before(async () => {
  company = await Company.open({ 王磊: 'rep', 陈晓: 'rep', 周强: 'manager' });
});
after(async () => {
  await company.close();
});

/** Small steps between 0 and 1 that never repeat within a run. */
function* spread() {
  for (let at = 0.37; ; at = (at + 0.618034) % 1) yield at;
}

/** What the manager's phone is told of a customer, as text. */
function arrived(customer) {
  company.phone('周强', 'login', company.url, '周强');
  company.phone('周强', 'sync');
  return company.phone('周强', 'timeline', customer);
}

// PWA-14
test(`a browser killed ${KILLS} times in mid-write has lost nothing that it had called saved`, async (t) => {
  const rep = await KillableProfile.open(company, '王磊');
  const saved = [];
  let inMidWrite = 0;
  let logins = 0;
  try {
    await rep.login();
    await rep.caughtUp();
    await rep.installed();
    const customer = await rep.createCustomer('烟台恒力机械有限公司');
    await rep.settled();
    const { actor } = await rep.actor();
    const moments = spread();
    for (let round = 0; round < KILLS; round += 1) {
      let writing = false;
      const write = (async () => {
        for (let number = 0; ; number += 1) {
          const text = `第 ${round} 轮第 ${number} 句`;
          await rep.page.locator('button.write').click();
          await rep.page.locator('.composer textarea').fill(text);
          writing = true;
          await rep.page.locator('.composer .button.primary').click();
          await rep.page.locator('button.write').waitFor();
          writing = false;
          saved.push(text);
        }
      })();
      // A moment of the person's choosing, not a wait for anything.
      const moment = new Promise((resolve) => setTimeout(resolve, 200 + moments.next().value * 1500));
      await Promise.race([write, moment]);
      if (writing) inMidWrite += 1;
      await rep.kill();
      await write.catch(() => null);
      await rep.start(`/customer/${customer}`);
      await rep.page.getByTestId('timeline').waitFor();
      const shown = await rep.page.getByTestId('timeline').innerText();
      assert.deepEqual(saved.filter((text) => !shown.includes(text)), [], `round ${round}`);
      // A browser writes its cookies down when it likes: the login may be among what died. Nothing else may.
      const again = rep.page.locator('a[href="/outbox"][data-link="login_needed"]:visible').first();
      await again.or(rep.page.locator('a[href="/outbox"][data-link="live"]:visible')).first().waitFor();
      if (await again.isVisible()) {
        logins += 1;
        await again.click();
        await rep.loginAgain();
        await rep.page.locator('.state[data-link="live"]').waitFor();
        await rep.page.goto(`${company.url}/customer/${customer}`);
        await rep.page.locator('button.write').waitFor();
      }
    }
    t.diagnostic(`${KILLS} kills, ${inMidWrite} of them between the press and its answer; ${saved.length} saved; ${logins} logins`);
    assert.ok(saved.length >= KILLS, `the browser wrote between its deaths: ${saved.length}`);
    await rep.settled();
    assert.deepEqual(await rep.actor(), { actor, gaveUp: false }, 'no number of a change was used twice');
    const there = arrived('烟台恒力机械有限公司');
    assert.deepEqual(saved.filter((text) => !there.includes(text)), []);
  } finally {
    await rep.close();
  }
});

// PWA-15
test('storage cleared under the running app: a login, a fresh download, a new actor, no number twice', async () => {
  const rep = await Profile.open(company, '陈晓');
  try {
    await rep.login();
    await rep.settled();
    const customer = await rep.createCustomer('威海海润水产加工有限公司');
    await rep.writeVisit('清除之前写的。');
    await rep.settled();
    const before = await rep.actor();

    await company.stop();
    await rep.page.locator('a[href="/outbox"][data-link="offline"]:visible').first().waitFor();
    await rep.page.getByRole('link', { name: '到访', exact: true }).click();
    const record = rep.page.getByRole('textbox', { name: '记录', exact: true });
    await record.fill('清除时正写着的话。');
    const session = await rep.context.newCDPSession(rep.page);
    await session.send('Storage.clearDataForOrigin', { origin: company.url, storageTypes: 'all' });
    // Either the person presses first, or the app finds it out by itself.
    const told = rep.page.getByText('浏览器清除了本机的数据');
    const press = async () => {
      await rep.page.getByRole('button', { name: '结束' }).click();
      await rep.page.getByRole('button', { name: '继续跟进', exact: true }).last().click();
    };
    await Promise.race([told.waitFor(), press().catch(() => null).then(() => told.waitFor())]);
    assert.equal(await rep.page.getByText('已存在本机').count(), 0);

    await company.start();
    await rep.page.locator('input[name=name]').fill('陈晓');
    await rep.loginAgain();
    // The form that stood on the screen stands there again, and can be finished once its customer is here.
    await rep.page.getByRole('button', { name: '结束' }).waitFor();
    assert.equal(await record.inputValue(), '清除时正写着的话。');
    await rep.page.goto(company.url);
    await rep.settled();
    const after = await rep.actor();
    assert.notEqual(after.actor, before.actor);
    await rep.page.goto(`${company.url}/customer/${customer}`);
    await rep.page.getByTestId('timeline').getByText('清除之前写的。').waitFor();
    await rep.page.goto(company.url);
    await rep.page.locator('a[href^="/visit/"]', { hasText: '海润' }).first().click();
    assert.equal(await record.inputValue(), '清除时正写着的话。');
    await rep.page.getByRole('button', { name: '结束' }).click();
    await rep.page.getByRole('button', { name: '继续跟进', exact: true }).last().click();
    await rep.page.getByText('已存在本机').first().waitFor();
    await rep.settled();
    assert.deepEqual(await rep.actor(), { actor: after.actor, gaveUp: false }, 'no number of a change was used twice');
    const there = arrived('威海海润水产加工有限公司');
    for (const text of ['清除之前写的。', '清除时正写着的话。']) assert.equal(there.split(text).length, 2, text);
    assert.deepEqual(rep.complaints, []);
  } finally {
    await rep.close();
  }
});
