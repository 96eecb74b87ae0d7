import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { Api } from '../harness/api.ts';
import { ADMIN, Deployment } from '../harness/deployment.ts';
import { eventually } from '../harness/process.ts';
import { ConsolePage, KOREAN, PHONE, inBrowser, launchBrowser, noBrowser } from './browser.ts';
import { MeasuringVehicle } from './measuring-vehicles.ts';
import { ASIL_D_FLAG, SAMPLE_PEOPLE, makeSampleFleet, sampleVin } from './sample-fleet.ts';

const METRIC = 'charge_minutes';
/** A flag whose feature does harm, and one whose rollout a person plans. */
const HARMFUL = 'fast_charge_v2';
const PLANNED = 'adas.lane_keep_v2';
const VEHICLES = 24;

const CREATE_FLAG = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }';
const CREATE_RULE =
  'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { flag { rules { id type } } } }';
const SCHEDULE = `mutation ($key: String!, $rule: ID!, $steps: [RolloutStepInput!]!, $guard: RolloutGuardInput) {
  scheduleRollout(flagKey: $key, ruleId: $rule, steps: $steps, guard: $guard) { applied } }`;
const ROLLOUT = 'query ($key: String!) { flag(key: $key) { rules { id type rollout { status currentPercentage } } } }';

interface WithRules {
  readonly flag: {
    readonly rules: readonly {
      readonly id: string;
      readonly type: string;
      readonly rollout: { readonly status: string; readonly currentPercentage: number } | null;
    }[];
  };
}

let deployment: Deployment;
let browser: Browser;
let admin: Api;

const rolloutRule = async (key: string) =>
  (await admin.ok<WithRules>(ROLLOUT, { key })).flag.rules.find(({ type }) => type === 'PERCENTAGE_ROLLOUT');

/** Makes a rollout rule for a flag, and gives its id. */
async function newRule(key: string, percentage: number): Promise<string> {
  const { createRule } = await admin.ok<{ createRule: WithRules }>(CREATE_RULE, {
    key,
    input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: percentage } },
  });
  return createRule.flag.rules.find(({ type }) => type === 'PERCENTAGE_ROLLOUT')?.id ?? '';
}

beforeAll(async () => {
  if (noBrowser !== null) return;
  deployment = await Deployment.start();
  admin = await Api.admin(deployment);
  await makeSampleFleet(admin, () => Api.signedIn(deployment, SAMPLE_PEOPLE.safety), 6);
  await admin.ok('mutation ($input: MetricDefinitionInput!) { defineMetric(input: $input) { key } }', {
    input: { key: METRIC, kind: 'MEAN', unit: 'min', minimum: 0, maximum: 60, better: 'LOWER' },
  });
  await admin.ok(CREATE_FLAG, {
    input: {
      key: HARMFUL,
      name: 'Fast charging',
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'SAFETY_RELEVANT',
      environment: 'PRODUCTION',
      enabled: true,
    },
  });
  const rule = await newRule(HARMFUL, 0);
  await admin.ok(SCHEDULE, {
    key: HARMFUL,
    rule,
    steps: [
      { percentage: 50, after: 'PT1S' },
      { percentage: 100, after: 'P1D' },
    ],
    guard: { metric: METRIC, worse: 'HIGHER', maxWorsePercent: 5, minimumVehicles: 4 },
  });
  await eventually(async () => (await rolloutRule(HARMFUL))?.rollout?.currentPercentage === 50, 'the first step');
  for (let index = 1; index <= VEHICLES; index += 1) {
    const vehicle = await MeasuringVehicle.register(admin, sampleVin(1_000 + index), 'EV9');
    const value = vehicle.armOf(HARMFUL) === 'treatment' ? 55 + (index % 3) : 8 + (index % 3);
    await vehicle.measure([{ flagKey: HARMFUL, metricName: METRIC, value }]);
  }
  await eventually(async () => (await rolloutRule(HARMFUL))?.rollout?.status === 'PULLED_BACK', 'the guard pulls back');
  browser = await launchBrowser();
}, 240_000);

afterAll(async () => {
  await browser?.close();
  await deployment?.remove();
}, 60_000);

inBrowser('an editor plans a rollout with a guard in a form, and pauses, resumes and ends it', async () => {
  const editor = await ConsolePage.open(browser, deployment);
  const { page } = editor;
  await editor.goTo(`/flags/${PLANNED}`);
  await editor.signIn(SAMPLE_PEOPLE.editor);
  await page.getByRole('link', { name: 'Rollout of this rule' }).click();
  await editor.heading('Rollout of Lane keeping, second generation');
  await page.getByText('No rollout was scheduled for this rule yet.').waitFor();
  await page.getByRole('link', { name: 'Schedule a rollout' }).click();
  await editor.heading('Schedule a rollout');
  // The kill switch of this page is the flag's.
  expect(await page.getByRole('link', { name: 'Kill switch', exact: true }).getAttribute('href')).toContain(
    `/flags/${PLANNED}/kill`,
  );

  await page.getByRole('textbox', { name: 'Share in percent' }).fill('10');
  await page.getByRole('button', { name: 'Schedule a rollout' }).click();
  await page.getByText('A number above 12.5 and at most 100.').waitFor();
  await page.locator(':focus').and(page.getByLabel('Share in percent')).waitFor();
  await page.getByRole('textbox', { name: 'Share in percent' }).fill('25');
  await page.getByLabel('Wait', { exact: true }).fill('2');
  await page.getByRole('button', { name: 'Add a step' }).click();
  const second = page.getByRole('group', { name: 'Step 2' });
  await second.getByLabel('Share in percent').fill('60');
  await second.getByLabel('When').selectOption({ label: 'At a set time' });
  await second.getByLabel('Date and time').fill('2027-06-01T09:00');
  await page.getByLabel('Watch a metric, and pull back when it gets worse').check();
  await page.getByLabel('Metric', { exact: true }).fill('range_km');
  await page.getByText('Nothing is declared of this metric.').waitFor();
  await editor.expectAccessible();
  await page.getByRole('button', { name: 'Schedule a rollout' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('25% 2 hours after the start').waitFor();
  await dialog.getByText('60% at 1 Jun 2027, 09:00:00 GMT+9').waitFor();
  await editor.expectAccessible();
  await dialog.getByRole('button', { name: 'Schedule it now' }).click();
  // The control plane's own check, beside the field that it names.
  await page.getByText('range_km is not declared').first().waitFor();
  expect(await page.getByLabel('Metric', { exact: true }).getAttribute('aria-invalid')).toBe('true');
  await page.getByLabel('Metric', { exact: true }).fill(METRIC);
  await page.getByRole('button', { name: 'Schedule a rollout' }).click();
  await dialog.getByText(`Guarded by ${METRIC}: at most 5% higher than in the other vehicles.`).waitFor();
  await dialog.getByRole('button', { name: 'Schedule it now' }).click();

  await editor.heading('Rollout of Lane keeping, second generation');
  await page.getByText('Rollout runs').waitFor();
  await page.getByRole('table', { name: 'Steps' }).getByText('60%').waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await dialog.getByLabel('Reason').fill('Complaints from the field');
  await editor.expectAccessible();
  await dialog.getByRole('button', { name: 'Pause' }).click();
  await page.getByText('Paused: “Complaints from the field”').waitFor();
  await page.getByRole('button', { name: 'Resume' }).click();
  await dialog.getByRole('button', { name: 'Resume' }).click();
  await page.getByText('Rollout runs').waitFor();

  // What somebody else does arrives by itself.
  await admin.ok('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "INC-4720") { applied } }', {
    key: PLANNED,
  });
  await page.getByText('Paused: the kill switch was pulled.').waitFor();
  await page.getByRole('button', { name: 'Resume' }).click();
  await dialog.getByRole('button', { name: 'Resume' }).click();
  await dialog.getByText('It has changed meanwhile, or its state does not allow this.').waitFor();
  await dialog.getByRole('button', { name: 'Back' }).click();
  await page.getByRole('button', { name: 'Cancel the rollout' }).click();
  await dialog.getByRole('button', { name: 'Cancel the rollout' }).click();
  await page.getByText('Rollout was cancelled').waitFor();
  await page.getByText('The kill switch of the flag is pulled: release it first.').waitFor();
  expect((await rolloutRule(PLANNED))?.rollout?.status).toBe('CANCELLED');
  await editor.close();
});

inBrowser(
  'a rollout that its guard pulled back shows why: in words, as a line with its limit, and as numbers',
  async () => {
    const rule = (await rolloutRule(HARMFUL))?.id ?? '';
    for (const view of [{ colorScheme: 'light' }, { ...PHONE, colorScheme: 'dark' }] as const) {
      const reader = await ConsolePage.open(browser, deployment, { ...view, locale: 'en-GB' });
      const { page } = reader;
      await reader.goTo(`/flags/${HARMFUL}/rollouts/${rule}`);
      await reader.signIn(SAMPLE_PEOPLE.reader);
      await page.getByText('The share is back at 0%, as before the rollout, and the kill switch is set.').waitFor();
      await page.getByText('The limit is crossed').waitFor();
      await page.getByText('at most 5% higher than in the other vehicles').waitFor();
      for (const title of ['Share of the vehicles over time', `What the guard has seen of ${METRIC}`]) {
        const chart = page.getByRole('figure', { name: title });
        await chart.locator('canvas').waitFor();
        await chart.getByText('The numbers as a table').click();
        await chart.getByRole('table').waitFor();
      }
      const numbers = page.getByRole('table', { name: `What the guard has seen of ${METRIC}` });
      expect(await numbers.getByRole('row').count()).toBeGreaterThan(1);
      expect(await numbers.getByRole('row').last().textContent()).toContain('5%');
      await page.getByRole('table', { name: 'Share of the vehicles over time' }).getByText('50%').first().waitFor();
      await reader.expectAccessible();
      await reader.close();
    }
  },
);

inBrowser('a rollout of an ASIL-D flag waits for a second person, in Korean and on a phone', async () => {
  const editor = await ConsolePage.open(browser, deployment, { ...PHONE, locale: 'ko-KR', colorScheme: 'dark' });
  const { page } = editor;
  const rule = await (async () => {
    const { createRule } = await admin.ok<{ createRule: { changeRequest: { id: string } } }>(
      'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { changeRequest { id } } }',
      { key: ASIL_D_FLAG.key, input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 0 } } },
    );
    const safety = await Api.signedIn(deployment, SAMPLE_PEOPLE.safety);
    await safety.ok('mutation ($id: ID!) { approveChangeRequest(id: $id, comment: "7.3") { id } }', {
      id: createRule.changeRequest.id,
    });
    return (await rolloutRule(ASIL_D_FLAG.key))?.id ?? '';
  })();
  await editor.goTo(`/flags/${ASIL_D_FLAG.key}/rollouts/${rule}/plan`);
  await editor.signIn(SAMPLE_PEOPLE.editor, KOREAN);
  await editor.heading('단계적 배포 예약');
  await page.getByLabel('비율(%)').fill('5');
  await editor.expectAccessible();
  await page.getByRole('button', { name: '단계적 배포 예약' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('시작 1시간 후 5%').waitFor();
  await dialog.getByRole('button', { name: '지금 예약' }).click();
  await page.getByText('다른 담당자가 승인할 때까지 아무 일도 일어나지 않습니다.').waitFor();
  await editor.expectAccessible();
  await editor.goTo('/rollouts');
  await page.getByText('단계적 배포 승인 대기').waitFor();
  await editor.expectAccessible();
  await editor.close();
});

inBrowser(
  'the list names the rollouts that wait, run or are paused, and a role that may not act is shown why',
  async () => {
    const reader = await ConsolePage.open(browser, deployment);
    const { page } = reader;
    await reader.goTo('/rollouts');
    await reader.signIn(SAMPLE_PEOPLE.reader);
    await page.getByRole('link', { name: /Emergency brake assist/ }).click();
    const cancel = page.getByRole('button', { name: 'Cancel the rollout' });
    await cancel.waitFor();
    expect(await cancel.isDisabled()).toBe(true);
    expect(await cancel.getAttribute('title')).toContain('Your role may not pause or end rollouts.');
    await reader.close();
    const reviewer = await ConsolePage.open(browser, deployment);
    await reviewer.goTo('/changes');
    await reviewer.signIn(ADMIN);
    await reviewer.page.getByRole('button', { name: 'Approve' }).click();
    await reviewer.page.getByText('Approved:').waitFor();
    await reviewer.goTo('/rollouts');
    await reviewer.page.getByText('Rollout runs').waitFor();
    await reviewer.expectAccessible();
    await reviewer.close();
  },
);
