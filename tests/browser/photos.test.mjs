// Photos really travel (S10): stored before the form says saved, sent after their visit in parts that go on
// where they were cut, counted until the server has verified the whole, and looked at by the manager.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Company, Profile } from './daybook.mjs';
import { Front } from './front.mjs';

let company;
let front;
let rep;
let manager;

before(async () => {
  company = await Company.open({ 王磊: 'rep', 周强: 'manager' });
  front = await Front.open(company.port);
  rep = await Profile.open({ url: front.url }, '王磊');
  await rep.login();
  await rep.settled();
});
after(async () => {
  await rep?.close();
  await manager?.close();
  front?.close();
  await company?.close();
});

/** A picture of noise, which no encoder makes small: about a megabyte. */
function noise(page, seed) {
  return page.evaluate(async (first) => {
    const canvas = new OffscreenCanvas(1400, 1050);
    const context = canvas.getContext('2d');
    const image = context.createImageData(canvas.width, canvas.height);
    let state = first;
    for (let at = 0; at < image.data.length; at += 1) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      image.data[at] = at % 4 === 3 ? 255 : state >>> 24;
    }
    context.putImageData(image, 0, 0);
    const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.9 });
    return new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.split(',')[1]);
      reader.readAsDataURL(blob);
    });
  }, seed);
}

/** The photos of this device as its store holds them: name and SHA-256 of the bytes. */
function stored(page) {
  return page.evaluate(async () => {
    const database = await new Promise((resolve) => {
      const request = indexedDB.open('daybook');
      request.onsuccess = () => resolve(request.result);
    });
    const all = (store, method) =>
      new Promise((resolve) => {
        const request = database.transaction(store).objectStore(store)[method]();
        request.onsuccess = () => resolve(request.result);
      });
    const [photos, keys, originals] = [await all('photos', 'getAll'), await all('originals', 'getAllKeys'), await all('originals', 'getAll')];
    database.close();
    const found = [];
    for (const photo of photos) {
      const original = originals[keys.indexOf(photo.info.sha256)];
      const url = await new Promise((resolve) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result);
        reader.readAsDataURL(original.blob);
      });
      found.push({ sha256: photo.info.sha256, state: photo.state, bytes: url.split(',')[1] });
    }
    return found;
  });
}

const pill = (page, text) => page.locator('a[href="/outbox"]:visible', { hasText: text }).first().waitFor();

async function addPhoto(page, seed) {
  const buffer = Buffer.from(await noise(page, seed), 'base64');
  const before = await page.locator('.photos figure').count();
  await page.locator('input[type=file]').setInputFiles({ name: `${seed}.jpg`, mimeType: 'image/jpeg', buffer });
  await page.locator('.photos figure').nth(before).waitFor();
}

// FILE-5, FILE-6, FILE-7
test('photos taken without signal arrive whole, whatever cuts them, and are counted until then', async (t) => {
  const customer = await rep.createCustomer('烟台恒力机械有限公司', '0535-6388112');
  await rep.settled();
  let sha256;

  await t.test('a photo in a form is on the disk and counted; one taken out again is not', async () => {
    front.cutOff();
    await rep.page.goto(`${front.url}/customer/${customer}`);
    await rep.page.getByRole('link', { name: '到访', exact: true }).click();
    await addPhoto(rep.page, 1);
    await pill(rep.page, '1 张照片未传');
    await addPhoto(rep.page, 2);
    await pill(rep.page, '2 张照片未传');
    await rep.page.getByRole('button', { name: '移除照片' }).last().click();
    await pill(rep.page, '1 张照片未传');
    assert.deepEqual((await stored(rep.page)).map((photo) => photo.state), ['draft']);
    await rep.page.getByRole('textbox', { name: '记录', exact: true }).fill('拍了液压站铭牌。');
    await rep.page.getByRole('button', { name: '结束' }).click();
    await rep.page.getByRole('button', { name: '继续跟进', exact: true }).last().click();
    await pill(rep.page, '1 条未传 · 1 张照片');
    [{ sha256 }] = await stored(rep.page);
  });

  await t.test('the visit goes first; the upload is cut in its middle and the photo stays counted', async () => {
    front.uploadBudget = 300_000;
    const cut = front.nextCut();
    front.cut = false;
    await rep.page.evaluate(() => window.dispatchEvent(new Event('online')));
    await rep.page.getByTestId('timeline').getByText('已到公司').first().waitFor();
    await cut;
    await pill(rep.page, /^\s*1 张照片未传/);
    assert.equal(existsSync(join(company.data, 'files', 'whole', sha256.slice(0, 2), sha256)), false);
    assert.equal((await stored(rep.page))[0].state, 'saved');
  });

  await t.test('after a reload and a restart of the server it goes on where it was cut', async () => {
    front.uploadBudget = 0;
    await rep.page.reload();
    await pill(rep.page, '1 张照片未传');
    await company.stop();
    await company.start();
    const parts = join(company.data, 'files', 'parts', sha256);
    const [part] = readdirSync(parts).map((device) => join(parts, device));
    const held = statSync(part).size;
    assert.ok(held > 0, 'the server kept what had arrived');
    front.uploaded = 0;
    front.uploadBudget = null;
    await rep.page.evaluate(() => window.dispatchEvent(new Event('online')));
    await rep.settled();
    const [photo] = await stored(rep.page);
    assert.equal(photo.state, 'sent');
    assert.equal(front.uploaded, Buffer.from(photo.bytes, 'base64').length - held, 'only what was lacking was sent');
    const arrived = readFileSync(join(company.data, 'files', 'whole', sha256.slice(0, 2), sha256));
    assert.ok(arrived.equals(Buffer.from(photo.bytes, 'base64')), 'byte for byte what was photographed');
    assert.equal(createHash('sha256').update(arrived).digest('hex'), sha256);
  });

  await t.test('the manager looks at it', async () => {
    manager = await Profile.open(company, '周强', { viewport: { width: 1280, height: 800 } });
    await manager.login();
    await manager.settled();
    await manager.page.goto(`${company.url}/customer/${customer}`);
    const small = manager.page.getByTestId('timeline').getByRole('img', { name: '照片' }).first();
    await small.waitFor();
    await manager.page.getByTestId('timeline').getByRole('button', { name: '放大照片 1 / 1' }).click();
    const large = manager.page.getByRole('dialog').locator('img');
    await large.waitFor();
    assert.equal(await large.evaluate(async (image) => (await image.decode(), image.naturalWidth)), 1400);
    await manager.page.keyboard.press('Escape');
    // Once seen it is there without a network.
    await manager.context.setOffline(true);
    await manager.page.reload();
    await manager.page.getByTestId('timeline').locator('img').first().waitFor();
    assert.deepEqual(manager.complaints, []);
  });
  assert.deepEqual(rep.complaints, []);
});

// FILE-6
test('what the server does not call whole is not sent, even when every byte went', async () => {
  front.loseWhole = true;
  const lost = front.nextCut();
  await rep.page.goto(`${front.url}/customers?visit`);
  await rep.page.locator('main a[href^="/visit/"]').first().click();
  await addPhoto(rep.page, 3);
  await rep.page.getByRole('button', { name: '结束' }).click();
  await rep.page.getByRole('button', { name: '未见到人', exact: true }).last().click();
  await lost;
  await pill(rep.page, '1 张照片未传');
  assert.equal((await stored(rep.page)).filter((photo) => photo.state === 'saved').length, 1);
  front.loseWhole = false;
  await rep.page.evaluate(() => window.dispatchEvent(new Event('online')));
  await rep.settled();
});

// FILE-8
test('a server that was restored without the photos is offered them again', async () => {
  const kept = (await stored(rep.page)).filter((photo) => photo.state === 'sent');
  assert.ok(kept.length > 0);
  const backup = join(company.folder, 'backup.db');
  company.run('backup', backup);
  await company.stop();
  rmSync(company.data, { recursive: true });
  company.run('restore', backup);
  await company.start();
  await rep.page.evaluate(() => window.dispatchEvent(new Event('online')));
  const lacks = () => kept.some(({ sha256 }) => !existsSync(join(company.data, 'files', 'whole', sha256.slice(0, 2), sha256)));
  while (lacks()) await once(front.events, 'uploaded');
  await rep.settled();
});
