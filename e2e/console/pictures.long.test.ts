// cspell:words noto fulfill
/**
 * The pictures of the console in docs/pictures/, in English and Korean. `npm run pictures` takes them again; otherwise
 * this holds the outline of each page against the one that it had when its picture was taken.
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { testUnless } from '../../core/testing/unless.ts';
import { Api } from '../harness/api.ts';
import { ADMIN, Deployment } from '../harness/deployment.ts';
import { Fleet } from '../harness/fleet.ts';
import { eventually } from '../harness/process.ts';
import { ConsolePage, PHONE, launchBrowser, noBrowser } from './browser.ts';
import { ASIL_D_FLAG, SAMPLE_PEOPLE, makeSampleFleet, sampleVin } from './sample-fleet.ts';

const FOLDER = fileURLToPath(new URL('../../docs/pictures/', import.meta.url));
const OUTLINES = join(FOLDER, 'console-outlines.json');
const IS_TAKING = process.env['TAKE_PICTURES'] === 'true';
/** A picture must not make the repository large. */
const MAX_BYTES = 200_000;

interface Picture {
  readonly name: string;
  readonly path: string;
  /** A text of each language that the page shows when it is complete. */
  readonly shows: { readonly en: string; readonly ko: string };
  readonly isPhone?: boolean;
}

const PICTURES: readonly Picture[] = [
  {
    name: 'console-flag',
    path: '/flags/adas.lane_keep_v2',
    shows: { en: 'Flag created', ko: '기능 플래그 생성' },
  },
  {
    name: 'console-kill',
    path: '/flags/adas.lane_keep_v2/kill',
    shows: { en: 'Pull the kill switch now', ko: '지금 킬 스위치 작동' },
    isPhone: true,
  },
  {
    name: 'console-changes',
    path: '/changes',
    shows: { en: 'Requested by 김지우', ko: '요청자: 김지우' },
  },
];
const LANGUAGES = [
  ['en', 'en-GB', { email: 'E-mail', password: 'Password', signIn: 'Sign in' }],
  ['ko', 'ko-KR', { email: '이메일', password: '비밀번호', signIn: '로그인' }],
] as const;

let deployment: Deployment;
let browser: Browser;
let fleet: Fleet;

const FONT = dirname(createRequire(import.meta.url).resolve('@fontsource/nanum-gothic/package.json'));
const FONT_PATH = '/fonts-of-the-pictures';

/** Gives the page Hangul under a name of the console's own list of fonts: few servers have a font with it. */
async function addHangul(page: Page): Promise<void> {
  await page.route(`**${FONT_PATH}/*`, (route) =>
    route.fulfill({ path: join(FONT, 'files', basename(new URL(route.request().url()).pathname)) }),
  );
  const sheets = await Promise.all(['400.css', '700.css'].map((name) => readFile(join(FONT, name), 'utf8')));
  const style = sheets
    .join('\n')
    .replaceAll("'Nanum Gothic'", "'Noto Sans KR'")
    .replaceAll('./files', FONT_PATH)
    .replaceAll('swap', 'block');
  // The page has the font from its beginning, because the browser keeps the shapes of words drawn without it.
  await page.route(
    ({ pathname }) => pathname.startsWith('/console'),
    async (route) => {
      if (route.request().resourceType() !== 'document') return route.continue();
      const response = await route.fetch();
      await route.fulfill({
        response,
        body: (await response.text()).replace('</head>', `<style>${style}</style></head>`),
      });
    },
  );
}

/** Waits until the files of the font are there that hold what the page shows. */
const hangulIsThere = (page: Page) =>
  page.evaluate(`Promise.all(['400', '700'].map((weight) =>
    document.fonts.load(weight + " 16px 'Noto Sans KR'", document.body.innerText)))
    .then(() => document.fonts.ready).then(() => undefined)`);

beforeAll(async () => {
  if (noBrowser !== null) return;
  deployment = await Deployment.start();
  const admin = await Api.admin(deployment);
  await makeSampleFleet(admin, () => Api.signedIn(deployment, SAMPLE_PEOPLE.safety));
  fleet = await Fleet.start(admin, [1, 2, 3, 4, 5, 6].map(sampleVin));
  const editor = await Api.signedIn(deployment, SAMPLE_PEOPLE.editor);
  await editor.ok(
    'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }',
    {
      key: ASIL_D_FLAG.key,
      input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5, regions: ['KR'] } },
    },
  );
  const progress = '{ rolloutProgress(environment: PRODUCTION) { applied total } }';
  await eventually(async () => {
    const { rolloutProgress } = await admin.ok<{ rolloutProgress: { applied: number; total: number } }>(progress);
    return rolloutProgress.applied === rolloutProgress.total;
  }, 'all vehicles have reported');
  // A document that the test has answered has no address of its own, and Chromium lets none of those reach this machine
  // by a websocket.
  browser = await launchBrowser(['--disable-features=LocalNetworkAccessChecks']);
}, 240_000);

afterAll(async () => {
  await browser?.close();
  await fleet?.remove();
  await deployment?.remove();
}, 60_000);

/** The headings of a page with their levels, in order, and the names of its columns. */
async function outlineOf(page: Page): Promise<string[]> {
  const parts = page.locator('h1, h2, th[scope=col]');
  const texts = await parts.evaluateAll((elements) =>
    // This runs in the browser, where an element has a name and a text.
    (elements as unknown as { readonly tagName: string; readonly textContent: string }[]).map(
      ({ tagName, textContent }) => `${tagName.toLowerCase()} ${textContent.trim()}`,
    ),
  );
  return texts.filter((text) => !/\d/.test(text.slice(2)));
}

const inBrowser = testUnless(noBrowser);

for (const [language, locale, words] of LANGUAGES)
  inBrowser(
    `the pictures of docs/ show the console as it is: ${language}`,
    async () => {
      const known = JSON.parse(await readFile(OUTLINES, 'utf8').catch(() => '{}')) as Record<string, string[]>;
      for (const { name, path, shows, isPhone = false } of PICTURES) {
        const own = await ConsolePage.open(browser, deployment, {
          locale,
          // The page's policy would refuse the font, which only the pictures use.
          bypassCSP: true,
          ...(isPhone ? PHONE : { viewport: { width: 1100, height: 760 } }),
        });
        await addHangul(own.page);
        await own.goTo(path);
        await own.signIn(ADMIN, words);
        await own.page.getByText(shows[language]).first().waitFor();
        // A reader of the docs must not see a console that has lost its stream. A phone shows the state only when it is
        // lost.
        await own.page.locator('.connection-live').waitFor({ state: 'attached' });
        await hangulIsThere(own.page);
        const file = `${name}.${language}.png`;
        let outline: string[] = [];
        const isThere = async () => {
          outline = await outlineOf(own.page);
          return IS_TAKING || isDeepStrictEqual(outline, known[file]);
        };
        // Tables of counts come after the page. One that does not come is shown by the comparison below.
        await eventually(isThere, `the outline of ${file}`).catch(() => undefined);
        expect(outline.length).toBeGreaterThan(0);
        if (IS_TAKING) {
          await writeFile(join(FOLDER, file), await own.page.screenshot());
          known[file] = outline;
        }
        expect([file, outline]).toEqual([file, known[file]]);
        expect((await stat(join(FOLDER, file))).size).toBeLessThan(MAX_BYTES);
        await own.close();
      }
      if (IS_TAKING) await writeFile(OUTLINES, `${JSON.stringify(known, null, 2)}\n`);
    },
    300_000,
  );
