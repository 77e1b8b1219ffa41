// Tabs of one browser share one writer (S9). If it goes, another takes over and no keystroke is lost.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Company, Profile } from './daybook.mjs';

let company;
let rep;

before(async () => {
  company = await Company.open({ 王磊: 'rep', 周强: 'manager' });
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

/** Writes notes one after another in a tab, as fast as it calls them saved, until `enough` says so. */
async function write(page, who, saved, enough) {
  for (let number = 0; !enough(number); number += 1) {
    const text = `${who}写的第 ${number} 句。`;
    await page.locator('button.write').click();
    await page.locator('.composer textarea').fill(text);
    await page.locator('.composer .button.primary').click();
    await page.locator('button.write').waitFor();
    saved.push(text);
  }
}

/** How often each text stands on the manager's phone. */
function arrivals(customer, texts) {
  company.phone('周强', 'login', company.url, '周强');
  company.phone('周强', 'sync');
  const there = JSON.parse(company.phone('周强', 'timeline', customer)).map((entry) => entry.text);
  return texts.map((text) => there.filter((one) => one === text).length);
}

// PWA-5, S9
test('two tabs that write at once share one actor; killed or stuck, the writer takes nothing with it', async (t) => {
  const first = await rep.tab('/');
  for (const page of rep.context.pages()) if (page !== first) await page.close();
  rep.page = first;
  const customer = await rep.createCustomer('日照远洋船舶配件有限公司');
  await rep.settled();
  const { actor } = await rep.actor();
  const saved = [];
  const second = await rep.tab(`/customer/${customer}`);

  await t.test('both write at the same time, and each sees all of it', async () => {
    const enough = (number) => number === 12;
    await Promise.all([write(first, '甲', saved, enough), write(second, '乙', saved, enough)]);
    assert.equal(saved.length, 24);
    for (const page of [first, second]) {
      for (const text of saved) await page.getByTestId('timeline').getByText(text, { exact: true }).waitFor();
    }
  });

  await t.test('the writer is killed between a press and its answer; the other goes on', async () => {
    const mine = [];
    let killed = false;
    const own = write(first, '将走的甲', saved, () => false).catch(() => null);
    const other = write(second, '留下的乙', mine, (number) => killed && number >= 8);
    while (mine.length < 3) await second.locator('button.write').waitFor();
    await first.close();
    killed = true;
    await Promise.all([own, other]);
    saved.push(...mine);
    rep.page = second;
    assert.ok(mine.length >= 8);
  });

  await t.test('a writer that is stuck is taken over, and what it still tries is refused by the store', async () => {
    const third = await rep.tab(`/customer/${customer}`);
    await third.getByTestId('timeline').getByText(saved[0], { exact: true }).waitFor();
    const [worker] = second.workers();
    const stuck = worker.evaluate(() => {
      for (const until = Date.now() + 6000; Date.now() < until; );
    });
    const began = Date.now();
    await write(third, '丙', saved, (number) => number === 3);
    assert.ok(Date.now() - began < 6000, 'without waiting for the stuck one');
    await stuck;
    await write(second, '醒来的乙', saved, (number) => number === 3);
    await third.getByTestId('timeline').getByText('醒来的乙写的第 2 句。', { exact: true }).waitFor();
  });

  await rep.settled();
  assert.deepEqual(await rep.actor(), { actor, gaveUp: false }, 'no number of a change was used twice');
  assert.deepEqual(arrivals(customer, saved), saved.map(() => 1), 'all of it is there, once');
  t.diagnostic(`${saved.length} notes saved by four tabs`);
  assert.deepEqual(rep.complaints, []);
});
