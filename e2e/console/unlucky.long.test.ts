/**
 * The console on a bad day: slow networks, wrong clocks, old addresses, hostile texts. It shows nothing that is not so.
 */
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { Api } from '../harness/api.ts';
import { ADMIN, Deployment } from '../harness/deployment.ts';
import { Fleet } from '../harness/fleet.ts';
import { ConsolePage, KOREAN, PHONE, inBrowser, launchBrowser, noBrowser } from './browser.ts';
import { ASIL_D_FLAG, SAMPLE_PEOPLE, makeSampleFleet, sampleVin } from './sample-fleet.ts';

const VIN = sampleVin(1);
/** Words that are written from right to left. */
const HEBREW = '\u05e9\u05dc\u05d5\u05dd';
const ARABIC = '\u0645\u0631\u062d\u0628\u0627';
const KILL = 'mutation ($key: String!, $reason: String!) { killSwitch(flagKey: $key, reason: $reason) { applied } }';
const RELEASE = 'mutation ($key: String!) { releaseKillSwitch(flagKey: $key, reason: "Fixed") { applied } }';

let deployment: Deployment;
let browser: Browser;
let admin: Api;
let fleet: Fleet;

beforeAll(async () => {
  if (noBrowser !== null) return;
  deployment = await Deployment.start();
  admin = await Api.admin(deployment);
  await makeSampleFleet(admin, () => Api.signedIn(deployment, SAMPLE_PEOPLE.safety), 60);
  fleet = await Fleet.start(admin, [VIN]);
  browser = await launchBrowser();
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await fleet?.remove();
  await deployment?.remove();
}, 60_000);

async function pullKillSwitch({ page }: ConsolePage, key: string): Promise<void> {
  await page.getByLabel('Reason').fill('Unintended steering, INC-4711');
  await page.getByLabel('Type the flag’s key').fill(key);
  await page.keyboard.press('Enter');
}

inBrowser('the address of a stop says that the kill switch is pulled for as long as it is', async () => {
  const operator = await ConsolePage.open(browser, deployment);
  await operator.goTo('/flags/steering_assist/kill');
  await operator.signIn(ADMIN);
  await pullKillSwitch(operator, 'steering_assist');
  await operator.heading('The kill switch is pulled.');
  await operator.page.getByText('The only vehicle has it.').waitFor();
  await operator.page.getByText('until the last vehicle').waitFor();

  // Opened later, the page has not seen when the last vehicle got it.
  await operator.page.reload();
  await operator.page.getByText('The only vehicle has it.').waitFor();
  expect(await operator.page.getByText('until the last vehicle').count()).toBe(0);

  await admin.ok(RELEASE, { key: 'steering_assist' });
  await operator.heading('No kill switch holds this flag.');
  await operator.page.reload();
  await operator.heading('No kill switch holds this flag.');
  expect(await operator.page.getByText('All vehicles get the default value').count()).toBe(0);
  await operator.expectAccessible();
  await operator.close();
});

inBrowser(
  'a stop is followed over a network whose answers take longer than the time between two readings',
  async () => {
    const operator = await ConsolePage.open(browser, deployment);
    await operator.goTo('/flags/adas.lane_keep_v2/kill');
    await operator.signIn(ADMIN);
    await operator.page.getByLabel('Reason').waitFor();
    const network = await operator.page.context().newCDPSession(operator.page);
    await network.send('Network.enable');
    const slow = { offline: false, latency: 4_000, downloadThroughput: -1, uploadThroughput: -1 };
    await network.send('Network.emulateNetworkConditions', slow);
    await pullKillSwitch(operator, 'adas.lane_keep_v2');
    await operator.heading('The kill switch is pulled.');
    await operator.page.getByText('The only vehicle has it.').waitFor();
    await operator.close();
  },
);

inBrowser('a stop that gets no answer can be sent again, and shows that it was made after all', async () => {
  const operator = await ConsolePage.open(browser, deployment);
  const { page } = operator;
  await page.clock.install();
  await operator.goTo('/flags/v2l_export_limit_w/kill');
  await operator.signIn(ADMIN);
  await page.getByLabel('Reason').waitFor();
  let isSent = () => {};
  const sent = new Promise<void>((resolve) => {
    isSent = resolve;
  });
  let letGo = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  await page.route('**/graphql', async (route) => {
    if (route.request().postData()?.includes('mutation PullKillSwitch') === true) {
      isSent();
      await held;
    }
    await route.continue();
  });
  await pullKillSwitch(operator, 'v2l_export_limit_w');
  await sent;
  const button = page.getByRole('button', { name: 'Pull the kill switch now' });
  expect(await button.isDisabled()).toBe(true);
  await page.clock.fastForward(60_000);
  await page.getByText('A change that you have just sent may have been made all the same.').waitFor();
  expect(await button.isEnabled()).toBe(true);
  expect(await page.getByLabel('Reason').inputValue()).toBe('Unintended steering, INC-4711');
  letGo();
  await page.getByText('The kill switch is pulled. There is nothing more to stop.').waitFor();
  await operator.close();
});

inBrowser('the vehicles that are missing are as many as the number above them says', async () => {
  const operator = await ConsolePage.open(browser, deployment);
  const { page } = operator;
  await page.clock.install();
  const total = 3;
  let applied = 1;
  await page.route('**/graphql', async (route) => {
    const body = route.request().postData() ?? '';
    const rolloutProgress = body.includes('query Progress(')
      ? { applied, active: applied, total, percent: (applied / total) * 100 }
      : {
          missing: {
            totalCount: total - applied,
            nodes: Array.from({ length: total - applied }, (_, index) => ({
              ...{ vin: sampleVin(index + 2), model: 'EV9', region: 'EU', status: 'ONLINE', lastSeenAt: null },
            })),
          },
        };
    await (/query (?:Progress|MissingVehicles)\(/.test(body)
      ? route.fulfill({ json: { data: { rolloutProgress } } })
      : route.continue());
  });
  await operator.goTo('/flags/seat_heating_rear/kill');
  await operator.signIn(ADMIN);
  await pullKillSwitch(operator, 'seat_heating_rear');
  const missing = page.getByRole('table', { name: 'Vehicles without the change' }).locator('tbody tr');
  await missing.nth(1).waitFor();
  applied = 2;
  // The number is read again each second, and the list by itself every five.
  await page.clock.pauseAt(Date.now() + 1_000);
  await page.clock.runFor(2_000);
  await page.getByText('66.6%').waitFor();
  await missing.nth(1).waitFor({ state: 'detached' });
  expect(await missing.count()).toBe(1);
  await operator.close();
});

inBrowser('a device whose clock is hours ahead counts the seconds of a stop as every other one', async () => {
  const operator = await ConsolePage.open(browser, deployment);
  await operator.page.clock.install({ time: Date.now() + 3 * 3_600_000 });
  await operator.goTo('/flags/drive_mode/kill');
  await operator.signIn(ADMIN);
  await pullKillSwitch(operator, 'drive_mode');
  await operator.heading('The kill switch is pulled.');
  const at = Number(new URL(operator.page.url()).searchParams.get('at'));
  expect(Math.abs(at - Date.now())).toBeLessThan(60_000);
  await operator.close();
});

inBrowser('a change that was decided can no longer be decided, even while the list is read again', async () => {
  const editor = await Api.signedIn(deployment, SAMPLE_PEOPLE.editor);
  await editor.ok('mutation ($key: String!) { enableFlag(key: $key) { applied } }', { key: ASIL_D_FLAG.key });
  const reviewer = await ConsolePage.open(browser, deployment);
  const { page } = reviewer;
  await reviewer.goTo('/changes');
  await reviewer.signIn(SAMPLE_PEOPLE.safety);
  const approve = page.getByRole('button', { name: 'Approve', exact: true });
  await approve.waitFor();
  let letGo = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  await page.route('**/graphql', async (route) => {
    if (route.request().postData()?.includes('query Requests(') === true) await held;
    await route.continue();
  });
  await approve.click();
  await page.getByText('Approved: Flag switched on, “Emergency brake assist”.').waitFor();
  expect(await approve.count()).toBe(0);
  letGo();
  await page.getByText('No change waits for approval.').waitFor();
  await reviewer.close();
});

inBrowser('long texts without spaces, other scripts and markup stay texts, and fit a phone', async () => {
  const key = `long.${'k'.repeat(90)}`;
  const name = `<img src=x onerror="document.title='owned'"> ${HEBREW} ${'가'.repeat(120)}`;
  await admin.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
    input: {
      key,
      name,
      description: `<b>${'W'.repeat(800)}</b> 🚗`,
      type: 'JSON',
      defaultValue: { text: 'x'.repeat(500) },
      safetyLevel: 'ASIL_B',
      environment: 'PRODUCTION',
      enabled: true,
    },
  });
  await admin.ok(KILL, { key, reason: `<script>alert(1)</script> ${'이유'.repeat(200)} ${ARABIC.repeat(30)}` });
  const operator = await ConsolePage.open(browser, deployment, { ...PHONE, locale: 'ko-KR' });
  await operator.goTo('/flags');
  await operator.signIn(ADMIN, KOREAN);
  await operator.heading('기능 플래그');
  for (const path of [
    '/flags',
    `/flags/${key}`,
    `/flags/${key}/release`,
    `/flags/${key}/edit`,
    '/audit',
    '/rollouts',
  ]) {
    await operator.goTo(path);
    if (path.startsWith('/flags')) await operator.page.getByText(name).first().waitFor();
    else await operator.page.locator('h1').waitFor();
    await operator.expectAccessible();
  }
  expect(await operator.page.locator('main img, main b, main script').count()).toBe(0);
  await operator.goTo(`/flags/${'n'.repeat(150)}`);
  await operator.page.getByText('이 키를 가진 기능 플래그가 없습니다.').waitFor();
  await operator.expectAccessible();
  await operator.goTo('/fleet/no-vin');
  await operator.page.getByText('이 차대번호로 등록된 차량이 없습니다.').waitFor();
  await operator.expectAccessible();
  await operator.close();
});
