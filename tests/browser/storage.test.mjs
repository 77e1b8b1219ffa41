// The browser dies or forgets: its whole process group killed while the app writes, and its storage cleared
// under the running app. What was shown as saved is there; what was lost is fetched anew under a new actor.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Company, gone, KillableProfile, Profile } from './daybook.mjs';

/** How often the browser is killed between a press and its answer; 50 by hand: KILLS=50 node --test storage.test.mjs */
const KILLS = Number(process.env.KILLS ?? 10);
/** How often it is killed at most, until so many have hit. */
const ATTEMPTS = 4 * KILLS;
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

/** Presses the button under a note of the customer that is open. Fulfilled when the press has reached the page. */
async function pressSave(page, text) {
  await page.locator('button.write').click();
  await page.locator('.composer textarea').fill(text);
  const pressed = page.evaluate(() => new Promise((resolve) => addEventListener('click', () => resolve(), { capture: true, once: true })));
  const press = page.locator('.composer .button.primary').click();
  press.catch(() => null);
  await pressed;
  const began = performance.now();
  const answer = press.then(() => page.locator('button.write').waitFor()).then(() => performance.now() - began);
  answer.catch(() => null);
  return { answer };
}

// PWA-14
test(`a browser killed ${KILLS} times in mid-write has lost nothing that it had called saved`, async (t) => {
  const rep = await KillableProfile.open(company, '王磊');
  const [saved, unanswered] = [[], []];
  let kept = 0;
  try {
    await rep.login();
    await rep.caughtUp();
    await rep.installed();
    // From here on nothing is anywhere but on this device.
    await company.stop();
    await rep.page.locator('a[href="/outbox"][data-link="offline"]:visible').first().waitFor();
    const customer = await rep.createCustomer('烟台恒力机械有限公司');
    const { actor } = await rep.actor();
    const moments = spread();
    let attempts = 0;
    // How long an answer took, in milliseconds: the browser dies within this time after a press.
    let took = 0;
    for (; unanswered.length < KILLS; attempts += 1) {
      assert.ok(attempts < ATTEMPTS, `${attempts} kills, only ${unanswered.length} of them in mid-write`);
      const texts = Array.from({ length: 2 + (attempts % 3) }, (_, number) => `第 ${attempts} 轮第 ${number} 句。`);
      const last = texts.pop();
      for (const text of texts) {
        const { answer } = await pressSave(rep.page, text);
        took = await answer;
        saved.push(text);
      }
      const { answer } = await pressSave(rep.page, last);
      // A moment of chance, not a wait for anything.
      const moment = new Promise((resolve) => setTimeout(resolve, moments.next().value * took, null));
      const isSaved = (await Promise.race([answer, moment])) !== null;
      await rep.kill();
      (isSaved ? saved : unanswered).push(last);
      await rep.start(`/customer/${customer}`);
      const timeline = rep.page.getByTestId('timeline');
      await timeline.getByText(saved.at(-1)).first().waitFor().catch(async (error) => {
        throw new Error(`kill ${attempts}: ${await rep.looks()}`, { cause: error });
      });
      const [shown, stored] = [await timeline.innerText(), await rep.onDisk()];
      assert.deepEqual(saved.filter((text) => !shown.includes(text)), [], `not shown after kill ${attempts}`);
      assert.deepEqual(saved.filter((text) => !stored.includes(text)), [], `not on disk after kill ${attempts}`);
      if (shown.includes(last) && !isSaved) kept += 1;
    }
    t.diagnostic(
      `${attempts} kills, ${KILLS} of them between the press and its answer, after which ${kept} notes were there all the same; ` +
        `${saved.length} called saved`,
    );
    assert.deepEqual(await rep.actor(), { actor, gaveUp: false });

    await company.start();
    await rep.page.goto(`${company.url}/customer/${customer}`);
    // A browser writes its cookies down when it likes: the login may be among what died. Nothing else may.
    const again = rep.page.locator('a[href="/outbox"][data-link="login_needed"]:visible').first();
    await again.or(rep.page.locator('a[href="/outbox"][data-link="live"]:visible')).first().waitFor();
    if (await again.isVisible()) {
      await again.click();
      await rep.loginAgain();
      await rep.page.locator('.state[data-link="live"]').waitFor();
      await rep.page.goto(company.url);
    }
    await rep.settled();
    assert.deepEqual(await rep.actor(), { actor, gaveUp: false }, 'no number of a change was used twice');
    const there = arrived('烟台恒力机械有限公司');
    const times = (text) => there.split(text).length - 1;
    assert.deepEqual(saved.filter((text) => times(text) !== 1), [], 'what was called saved arrives once');
    assert.equal(unanswered.filter((text) => times(text) === 1).length, kept, 'what was kept arrives once');
    assert.deepEqual(unanswered.filter((text) => times(text) > 1), []);
  } finally {
    if (company.process === null) await company.start();
    await rep.close();
  }
});

// PWA-19
test('what is saved behind the torn end of the browser\'s own log is there after the next kill, too', async () => {
  const rep = await KillableProfile.open(company, '王磊');
  try {
    await rep.login();
    await rep.settled();
    await rep.installed();
    await company.stop();
    await rep.page.locator('a[href="/outbox"][data-link="offline"]:visible').first().waitFor();
    const customer = await rep.createCustomer('荣成海达船舶配件有限公司');
    for (const [text, before] of [['第一句。', []], ['第二句。', ['第一句。']], ['第三句。', ['第一句。', '第二句。']]]) {
      for (const word of before) await rep.page.getByTestId('timeline').getByText(word).waitFor();
      await (await pressSave(rep.page, text)).answer;
      await rep.kill();
      const torn = rep.tearLog();
      await rep.start(`/customer/${customer}`);
      await gone(torn);
    }
    await rep.page.getByTestId('timeline').getByText('第三句。').waitFor();
    const stored = await rep.onDisk();
    for (const text of ['第一句。', '第二句。', '第三句。']) assert.ok(stored.includes(text), text);
  } finally {
    if (company.process === null) await company.start();
    await rep.close();
  }
});

// PWA-19
test('a browser that has lost everything says so, and a login brings back what was with the company', async () => {
  const rep = await KillableProfile.open(company, '王磊');
  try {
    await rep.login();
    await rep.settled();
    const customer = await rep.createCustomer('乳山东岳农机有限公司');
    await rep.settled();
    await rep.quit();
    rep.spoil();
    await rep.start();
    await rep.page.getByText('浏览器丢失了本机的数据').waitFor();
    await rep.login();
    await rep.settled();
    assert.equal(await rep.page.getByText('浏览器丢失了本机的数据').count(), 0);
    await rep.page.goto(`${company.url}/customer/${customer}`);
    await rep.page.getByText('乳山东岳农机有限公司').first().waitFor();
    // Who logs out has lost nothing.
    await rep.page.goto(`${company.url}/settings`);
    await rep.page.getByTestId('logout').click();
    await rep.page.getByRole('dialog').getByRole('button', { name: '退出登录' }).click();
    await rep.page.locator('input[name=name]').waitFor();
    await rep.page.reload();
    await rep.page.locator('input[name=name]').waitFor();
    assert.equal(await rep.page.getByText('浏览器丢失了本机的数据').count(), 0);
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
