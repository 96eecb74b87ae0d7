import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { Api } from '../harness/api.ts';
import { ADMIN, Deployment } from '../harness/deployment.ts';
import { Fleet } from '../harness/fleet.ts';
import { eventually } from '../harness/process.ts';
import { ConsolePage, KOREAN, PHONE, inBrowser, launchBrowser, noBrowser } from './browser.ts';
import { ASIL_D_FLAG, SAMPLE_PEOPLE, makeSampleFleet, sampleVin } from './sample-fleet.ts';

const VIN = sampleVin(1);
const CREATE_RULE =
  'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }';

let deployment: Deployment;
let browser: Browser;
let admin: Api;
let fleet: Fleet;

beforeAll(async () => {
  if (noBrowser !== null) return;
  deployment = await Deployment.start();
  admin = await Api.admin(deployment);
  await makeSampleFleet(admin, () => Api.signedIn(deployment, SAMPLE_PEOPLE.safety), 60);
  // One vehicle that is online, and one that has a token and never comes.
  await admin.ok('mutation ($vin: String!) { issueVehicleToken(vin: $vin) { expiresAt } }', { vin: sampleVin(2) });
  fleet = await Fleet.start(admin, [VIN]);
  const agent = fleet.agents.get(VIN);
  await agent?.ready();
  agent?.reportFault('drive_mode', 'The mode jumps.');
  await admin.ok('mutation { killSwitch(flagKey: "drive_mode", reason: "Mode jumps, INC-4710") { applied } }');
  const editor = await Api.signedIn(deployment, SAMPLE_PEOPLE.editor);
  await editor.ok(CREATE_RULE, {
    key: ASIL_D_FLAG.key,
    input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5, regions: ['KR'] } },
  });
  browser = await launchBrowser();
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await fleet?.remove();
  await deployment?.remove();
}, 60_000);

/** Each page with a text of each language that it shows when it is complete. */
const PAGES: readonly (readonly [path: string, english: string, korean: string])[] = [
  ['/', '6 flags', '기능 플래그 6개'],
  ['/flags?state=killed', '1 flag', '기능 플래그 1개'],
  ['/flags?search=novel', 'No flag fits.', '조건에 맞는 기능 플래그가 없습니다.'],
  ['/flags/adas.lane_keep_v2', 'Flag created', '기능 플래그 생성'],
  ['/flags/drive_mode', 'All vehicles get the default value "eco"', '모든 차량이 기본값("eco")'],
  [`/flags/${ASIL_D_FLAG.key}`, 'A change of this flag waits', '변경 1건이 승인 대기 중입니다'],
  ['/flags/novel', 'There is no flag with this key.', '이 키를 가진 기능 플래그가 없습니다.'],
  ['/flags/adas.lane_keep_v2/edit', 'The models that get the flag.', '이 기능 플래그를 받는 차종입니다.'],
  ['/segments', 'EU, on the road', 'EU, on the road'],
  ['/segments/eu_fleet', '21 of 60 vehicles', '차량 60대 가운데 21대'],
  ['/new-segment', 'Show whom the change concerns', '바뀌는 차량 보기'],
  ['/health', 'All other models', '그 밖의 모든 차종'],
  ['/kill', 'Choose the feature to stop.', '중지할 기능을 선택하세요.'],
  ['/flags/adas.lane_keep_v2/kill', 'Pull the kill switch now', '지금 킬 스위치 작동'],
  ['/flags/drive_mode/release', 'What vehicles get once it is released', '해제하면 차량이 받는 값'],
  ['/changes', 'Requested by 김지우', '요청자: 김지우'],
  ['/changes?status=APPROVED', 'Decided by Mina Park', '검토자: Mina Park'],
  ['/fleet', '60 vehicles', '차량 60대'],
  [`/fleet/${VIN}`, 'adas.lane_keep_v2', 'adas.lane_keep_v2'],
  [`/fleet/${VIN}`, 'A program reports it', '프로그램이 보고함'],
  [`/fleet/${sampleVin(999)}`, 'No vehicle with this VIN', '이 차대번호로 등록된 차량이 없습니다.'],
  ['/audit', '“Mode jumps, INC-4710”', '“Mode jumps, INC-4710”'],
  ['/audit?action=KILL_SWITCH&flag=drive_mode', '1 entry', '기록 1건'],
  ['/novel', 'The address may be incomplete.', '주소가 올바른지 확인하세요.'],
];

const VIEWS = [
  ['English, on a laptop, light', { locale: 'en-GB', viewport: { width: 1280, height: 860 } }],
  ['Korean, on a phone, dark', { ...PHONE, locale: 'ko-KR', colorScheme: 'dark' }],
  ['English, on a phone, dark', { ...PHONE, locale: 'en-US', colorScheme: 'dark' }],
] as const;

for (const [name, view] of VIEWS) {
  inBrowser(`every page is accessible and fits into its window: ${name}`, async () => {
    const operator = await ConsolePage.open(browser, deployment, view);
    const isKorean = view.locale === 'ko-KR';
    await operator.goTo('/');
    await operator.page.getByRole('button').first().waitFor();
    await operator.expectAccessible();
    await operator.signIn(ADMIN, ...(isKorean ? [KOREAN] : []));
    for (const [path, english, korean] of PAGES) {
      if (path !== '/') await operator.goTo(path);
      await operator.page
        .getByText(isKorean ? korean : english)
        .first()
        .waitFor();
      await operator.expectAccessible();
    }
    expect(await operator.page.locator('html').getAttribute('lang')).toBe(isKorean ? 'ko' : 'en');
    await operator.close();
  });
}

/** The patterns of all addresses, as the console's own tables have them. */
const ROUTES = ['main.tsx', 'administration/administration.tsx']
  .flatMap((file) => [
    ...readFileSync(new URL(`../../console/${file}`, import.meta.url), 'utf8').matchAll(/^ {2}\['(\/[^']*)', \(/gm),
  ])
  .map(([, pattern = '']) => pattern);

/** Makes one of each thing that an address can name. */
async function makeNamed(): Promise<Readonly<Record<string, string>>> {
  const { flag, createExperiment, createApiKey, createWebhook, users } = await admin
    .ok<{
      flag: { rules: { id: string; type: string }[] };
      createExperiment: { id: string };
      createApiKey: { apiKey: { id: string } };
      createWebhook: { webhook: { id: string } };
      users: { nodes: { id: string; name: string }[] };
    }>(
      `mutation {
      createExperiment(input: { flagKey: "adas.lane_keep_v2", name: "Titled experiment", sampleSize: 100, primaryMetric: "m", startDate: "2090-01-01T00:00:00Z" }) { id }
      createApiKey(input: { name: "titled_key", role: READ }) { apiKey { id } }
      createWebhook(input: { name: "Titled webhook", url: "https://receiver.invalid/", kinds: [KILL_SWITCH_PULLED] }) { webhook { id } }
    }`,
    )
    .then(async (made) => ({
      ...made,
      ...(await admin.ok<object>(
        '{ flag(key: "adas.lane_keep_v2") { rules { id type } } users(first: 1) { nodes { id name } } }',
      )),
    }));
  return {
    '/flags/:key': 'adas.lane_keep_v2',
    '/segments/:key': 'eu_fleet',
    ':rule': flag.rules.find(({ type }) => type === 'PERCENTAGE_ROLLOUT')?.id ?? '',
    ':vin': VIN,
    '/experiments/:id': createExperiment.id,
    '/keys/:id': createApiKey.apiKey.id,
    '/webhooks/:id': createWebhook.webhook.id,
    '/accounts/:id': users.nodes[0]?.id ?? '',
    '/policies/:environment': 'staging',
    name: users.nodes[0]?.name ?? '',
  };
}

inBrowser('every address has a title of its own, in both languages, that names what the page is about', async () => {
  const { name = '', ...named } = await makeNamed();
  const ABOUT = [
    ['/flags/:key', 'Lane keeping, second generation'],
    ['/segments/:key', 'EU, on the road'],
    ['/fleet/:vin', VIN],
    ['/experiments/:id', 'Titled experiment'],
    ['/webhooks/:id', 'Titled webhook'],
    ['/keys/:id', 'titled_key'],
    ['/accounts/:id', name],
  ] as const;
  const pathOf = (pattern: string) =>
    Object.entries(named).reduce((path, [place, name]) => path.replace(place, place.replace(/:\w+$/, name)), pattern);
  expect(ROUTES.length).toBeGreaterThan(30);
  for (const locale of ['en-GB', 'ko-KR']) {
    const operator = await ConsolePage.open(browser, deployment, { locale });
    const { page } = operator;
    await operator.goTo('/');
    const signIn = locale === 'ko-KR' ? '로그인' : 'Sign in';
    await eventually(async () => (await page.title()) === `${signIn} · FleetFlag`, 'the title of signing in');
    await operator.signIn(ADMIN, ...(locale === 'ko-KR' ? [KOREAN] : []));
    await page.locator('.brand').waitFor();
    const titles = new Map<string, string>();
    for (const pattern of ROUTES.filter((one) => one !== '/')) {
      const path = pathOf(pattern);
      expect(path).not.toContain(':');
      await operator.goTo(path);
      // What the page is about stands in the title once it is loaded.
      const about = ABOUT.find(([beginning]) => pattern.startsWith(beginning))?.[1] ?? '';
      await eventually(async () => {
        const [title, heading] = [await page.title(), (await page.locator('h1').first().textContent()) ?? ''];
        titles.set(pattern, title);
        return heading !== '' && title.endsWith(`${heading} · FleetFlag`) && title.includes(about);
      }, `a title of ${path}`);
    }
    const shared = [...titles].filter(([pattern, title]) =>
      [...titles].some(([other, same]) => other !== pattern && same === title),
    );
    expect(shared).toEqual([]);
    await operator.close();
  }
});

inBrowser('language and appearance are chosen in the menu, and kept', async () => {
  const operator = await ConsolePage.open(browser, deployment, { locale: 'fr-FR' });
  const { page } = operator;
  await operator.goTo('/');
  await operator.signIn(ADMIN);
  await operator.heading('Flags');
  await page.getByText('System Admin').click();
  await page.getByLabel('Appearance').selectOption({ label: 'Dark' });
  await page.getByRole('button', { name: '한국어' }).click();
  await operator.heading('기능 플래그');
  await page.reload();
  await operator.heading('기능 플래그');
  expect(await page.locator('html').getAttribute('data-theme')).toBe('dark');
  await page.getByText('System Admin').click();
  await page.getByRole('button', { name: '로그아웃' }).click();
  await page.getByLabel('비밀번호').waitFor();
  await operator.close();
});

inBrowser('a vehicle tells what it gets and why, and a stop names those that are missing', async () => {
  await eventually(() => fleet.agents.get(VIN)?.evaluate('adas.lane_keep_v2') !== undefined, 'the vehicle has synced');
  const operator = await ConsolePage.open(browser, deployment);
  const { page } = operator;
  await operator.goTo('/fleet');
  await operator.signIn(ADMIN);
  await page.getByLabel('Find by VIN or model').fill(VIN);
  await page.getByRole('link', { name: VIN }).click();
  await operator.heading(VIN);
  await page.getByText('adas.lane_keep_v2').click();
  await page.getByText('A rule matched.').waitFor();
  await page.getByText('On the list of vehicles: yes').waitFor();
  await page.getByText('Not reached').waitFor();
  await operator.expectAccessible();

  await operator.goTo('/flags/steering_assist/kill');
  await page.getByLabel('Reason').fill('Steering, INC-4713');
  await page.getByLabel('Type the flag’s key').fill('steering_assist');
  await page.getByRole('button', { name: 'Pull the kill switch now' }).click();
  await operator.heading('The kill switch is pulled.');
  await page.getByText('50%').waitFor();
  await page.getByRole('table', { name: 'Vehicles without the change' }).getByText(sampleVin(2)).waitFor();
  await operator.expectAccessible();

  await page.getByRole('link', { name: 'To the flag' }).click();
  await page.getByRole('link', { name: 'Release the kill switch' }).click();
  await page.getByLabel('Reason').fill('Fixed in 2.5.1');
  await page.getByLabel('Type the flag’s key').fill('steering_assist');
  await page.getByRole('button', { name: 'Release the kill switch' }).click();
  await page.getByText('On its way to the fleet').waitFor();
  await operator.close();
});

inBrowser('the audit log shows entries as they are made, and its chain can be checked', async () => {
  const operator = await ConsolePage.open(browser, deployment);
  const { page } = operator;
  await operator.goTo('/audit?flag=v2l_export_limit_w');
  await operator.signIn(ADMIN);
  await page.getByText('1 entry').waitFor();
  await page.getByText('Live', { exact: true }).waitFor();
  await admin.ok('mutation { enableFlag(key: "v2l_export_limit_w") { applied } }');
  await page.getByText('2 entries').waitFor();
  await page.locator('summary').getByText('Flag switched on').click();
  await page.getByRole('table', { name: 'Flag switched on' }).getByText('yes').waitFor();
  await page.getByRole('button', { name: 'Check the chain' }).click();
  await page.getByText(/Unbroken: \d+ entries/).waitFor();
  await operator.expectAccessible();
  await operator.close();
});

inBrowser('a change is rejected with a reason, and a fault of the network says what to do', async () => {
  const [reviewer, editor] = [await ConsolePage.open(browser, deployment), await ConsolePage.open(browser, deployment)];
  await reviewer.goTo('/changes');
  await reviewer.signIn(SAMPLE_PEOPLE.safety);
  await reviewer.page.getByRole('button', { name: 'Reject' }).click();
  await reviewer.page.getByText('Say why it is rejected.').waitFor();
  await reviewer.page.getByLabel('Comment').fill('The hazard analysis is missing.');
  await reviewer.page.getByRole('button', { name: 'Reject' }).click();
  await reviewer.page.getByText('The flag stays as it is.').waitFor();
  await reviewer.page.getByText('No change waits for approval.').waitFor();
  await reviewer.close();

  await editor.goTo('/flags/seat_heating_rear');
  await editor.signIn(SAMPLE_PEOPLE.editor);
  await editor.page.getByRole('button', { name: 'Switch off' }).click();
  // The stream is cut off, so that the page still shows the flag as it was.
  await editor.page.context().setOffline(true);
  await editor.page.getByRole('dialog').getByRole('button', { name: 'Switch off' }).click();
  // The parts of the page that read again say so as well.
  await editor.page.getByText('The control plane cannot be reached.').first().waitFor();
  await editor.page.context().setOffline(false);
  await editor.page.getByRole('dialog').getByRole('button', { name: 'Switch off' }).click();
  await editor.page.getByText('Flag switched off').waitFor();
  editor.faults.splice(0, editor.faults.length, ...editor.faults.filter((fault) => !fault.includes('ERR_INTERNET')));
  await editor.close();
});
