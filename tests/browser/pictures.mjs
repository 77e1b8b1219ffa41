// Pictures of every screen on a phone and on a desktop, to be looked at one by one:
// node pictures.mjs [FOLDER] [name ...]. A name is a part of `role-screen`. Themes: THEMES=light,dark,outdoor;
// languages: LANGUAGES=zh,en; sizes: SIZES=390,1280. With DAYBOOK_COMPANY=URL a running demo is used.
import { mkdirSync } from 'node:fs';
import { Company, Profile } from './daybook.mjs';
import { CAST, TOUR } from './tour.mjs';

const folder = process.argv[2] ?? '/tmp/daybook-pictures';
const only = process.argv.slice(3);
const listed = (name, otherwise) => (process.env[name] ?? otherwise).split(',');
const themes = listed('THEMES', 'light,dark');
const languages = listed('LANGUAGES', 'zh');
const SIZES = {
  390: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
  1280: { viewport: { width: 1280, height: 800 } },
};
mkdirSync(folder, { recursive: true });
const company = process.env.DAYBOOK_COMPANY
  ? Company.running(process.env.DAYBOOK_COMPANY)
  : await Company.demo();

async function shoot(page, name, size, language) {
  const suffix = language === 'zh' ? '' : `-${language}`;
  await page.waitForLoadState('networkidle');
  for (const theme of themes) {
    await page.evaluate((shown) => (document.documentElement.dataset.theme = shown), theme);
    await page.screenshot({ path: `${folder}/${name}-${size}-${theme}${suffix}.png` });
  }
}

for (const size of listed('SIZES', '390,1280')) {
  for (const language of languages) {
    for (const [role, screens] of Object.entries(TOUR)) {
      const wanted = screens.filter(({ name }) => only.length === 0 || only.some((one) => `${role}-${name}`.includes(one)));
      if (wanted.length === 0) continue;
      const options = { ...SIZES[size], reducedMotion: 'reduce', language };
      const profile = await Profile.open(company, CAST[role], options);
      if (role === 'rep') await shoot(profile.page, 'login', size, language);
      await profile.login();
      await profile.caughtUp();
      for (const { name, go, back } of wanted) {
        try {
          await go(profile);
          await shoot(profile.page, `${role}-${name}`, size, language);
          await back?.(profile);
        } catch (problem) {
          console.error(`${role}-${name} ${size}: ${problem}`);
          await profile.page.screenshot({ path: `${folder}/failed-${role}-${name}-${size}.png` });
        }
      }
      if (profile.complaints.length > 0) console.error(role, size, profile.complaints);
      await profile.close();
    }
  }
}
await company.close();
