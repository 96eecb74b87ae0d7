import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { Api } from '../harness/api.ts';
import { Deployment } from '../harness/deployment.ts';
import { ConsolePage, KOREAN, PHONE, inBrowser, launchBrowser, noBrowser } from './browser.ts';
import { MeasuringVehicle } from './measuring-vehicles.ts';
import { SAMPLE_PEOPLE, makeSampleFleet, sampleVin } from './sample-fleet.ts';

const KEY = 'eco_route';
const METRIC = 'range_km';
const HOUR = 3_600_000;
/** Milliseconds for what pages read again by themselves every minute. */
const REFRESHED = { timeout: 120_000 };

let deployment: Deployment;
let browser: Browser;
let admin: Api;
const vehicles: MeasuringVehicle[] = [];

beforeAll(async () => {
  if (noBrowser !== null) return;
  deployment = await Deployment.start();
  admin = await Api.admin(deployment);
  await makeSampleFleet(admin, () => Api.signedIn(deployment, SAMPLE_PEOPLE.safety), 6);
  for (const input of [
    { key: METRIC, kind: 'MEAN', unit: 'km', minimum: 0, maximum: 600, better: 'HIGHER' },
    { key: 'faults', kind: 'COUNT', minimum: 0, maximum: 10, better: 'LOWER' },
  ])
    await admin.ok('mutation ($input: MetricDefinitionInput!) { defineMetric(input: $input) { key } }', { input });
  await admin.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
    input: {
      key: KEY,
      name: 'Economical route',
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'NON_CRITICAL',
      environment: 'PRODUCTION',
      enabled: true,
    },
  });
  await admin.ok(
    'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }',
    { key: KEY, input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 50 } } },
  );
  for (let index = 0; index < 40; index += 1)
    vehicles.push(
      await MeasuringVehicle.register(admin, sampleVin(2_000 + index), index % 2 === 0 ? 'EV9' : 'Ioniq 6'),
    );
  browser = await launchBrowser();
}, 240_000);

afterAll(async () => {
  await browser?.close();
  await deployment?.remove();
}, 60_000);

inBrowser(
  'a flag shows its evaluations, its active vehicles and what vehicles measure, as lines over time',
  async () => {
    for (const vehicle of vehicles.slice(0, 6))
      await vehicle.measure(
        [3, 2, 1].flatMap((hours) => [
          { flagKey: KEY, metricName: '$evaluations', value: 20, at: Date.now() - hours * HOUR },
          { flagKey: KEY, metricName: 'drive_minutes', value: 30 + hours, at: Date.now() - hours * HOUR },
        ]),
      );
    for (const [view, words] of [
      [{ locale: 'en-GB', colorScheme: 'light' }, undefined],
      [{ ...PHONE, locale: 'ko-KR', colorScheme: 'dark' }, KOREAN],
    ] as const) {
      const reader = await ConsolePage.open(browser, deployment, view);
      const { page } = reader;
      await reader.goTo(`/flags/${KEY}`);
      await reader.signIn(SAMPLE_PEOPLE.reader, words);
      const isKorean = words !== undefined;
      for (const [title, number] of [
        [isKorean ? '변형별 평가 횟수' : 'Evaluations by variant', /\d/],
        [isKorean ? '변형별 활성 차량' : 'Active vehicles by variant', /\d/],
        [isKorean ? 'drive_minutes: 변형별 평균' : 'drive_minutes: mean by variant', /3[123]/],
      ] as const) {
        const chart = page.getByRole('figure', { name: title });
        await chart.locator('canvas').waitFor();
        await chart.getByText(isKorean ? '수치를 표로 보기' : 'The numbers as a table').click();
        expect(await chart.getByRole('table').getByRole('row').last().textContent()).toMatch(number);
        await chart.getByText('treatment').first().waitFor();
      }
      await page.getByLabel(isKorean ? '기간' : 'Period').selectOption({ index: 2 });
      await page.getByRole('figure').first().locator('canvas').waitFor();
      await reader.expectAccessible();
      await reader.close();
    }
  },
);

inBrowser('an editor plans an experiment, starts it, reads its verdict, and completes it with a reason', async () => {
  const editor = await ConsolePage.open(browser, deployment);
  const { page } = editor;
  await editor.goTo('/experiments');
  await editor.signIn(SAMPLE_PEOPLE.editor);
  await page.getByText('There are no experiments yet.').waitFor();
  await page.getByRole('link', { name: 'Plan an experiment' }).click();
  await page.getByRole('button', { name: 'Save the plan' }).click();
  await page.getByText('A whole number of 2 or more.').waitFor();
  await page.getByLabel('Key of the flag').fill('no_such_flag');
  await page.getByLabel('Name', { exact: true }).fill('Further with one charge');
  await page.getByLabel('What it is to show').fill('Whether economical routes need less energy.');
  await page.getByLabel('Primary metric').fill(METRIC);
  await page.getByText('Compute the number of vehicles').click();
  await page.getByLabel('Mean, or share, without the feature').fill('300');
  await page.getByLabel('Standard deviation of the vehicles').fill('20');
  await page.getByRole('button', { name: 'Compute and take over' }).click();
  const size = page.getByLabel('Vehicles in each arm');
  await page.waitForFunction(
    (element) => Number((element as unknown as { value: string } | null)?.value) > 2,
    await size.elementHandle(),
  );
  await page.getByRole('button', { name: 'Add a secondary metric' }).click();
  await page.getByLabel('Metric 1').fill('drive_minutes');
  await page.getByRole('button', { name: 'Add a guardrail' }).click();
  await page.getByLabel('Guardrail 1').fill('faults');
  await page.getByLabel('At most worse by percent').fill('2');
  await page.getByRole('button', { name: 'Save the plan' }).click();
  await page.getByText('This does not exist.').waitFor();
  await page.getByLabel('Key of the flag').fill(KEY);
  await editor.expectAccessible();
  await page.getByRole('button', { name: 'Save the plan' }).click();
  await editor.heading('Further with one charge');
  await page.getByText('It is planned.').waitFor();
  await page.getByRole('link', { name: 'Change the plan' }).click();
  await page.getByLabel('Vehicles in each arm').fill('500');
  await page.getByRole('button', { name: 'Save the plan' }).click();
  await page.getByText('500', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Start' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('It measures from this moment on').waitFor();
  await dialog.getByRole('button', { name: 'Start' }).click();
  await page.getByText('Running', { exact: true }).waitFor();
  await page.getByText('Too few vehicles count to say').waitFor();

  for (const [index, vehicle] of vehicles.entries())
    await vehicle.measure([
      { flagKey: KEY, metricName: METRIC, value: (vehicle.armOf(KEY) === 'treatment' ? 340 : 300) + (index % 7) },
      { flagKey: KEY, metricName: 'faults', value: index % 3 },
      { flagKey: KEY, metricName: 'drive_minutes', value: 30 + (index % 5) },
    ]);
  await page.getByRole('table', { name: 'Arms' }).getByText('With the feature').waitFor();
  await page.getByText('They fit the rollout').waitFor(REFRESHED);
  await page.getByText(/an effect of .* or more is seen/).waitFor(REFRESHED);
  await page.getByRole('table', { name: 'Secondary metrics' }).getByText('drive_minutes').waitFor();
  await page.getByRole('table', { name: 'Guardrails' }).getByText('at most 2% higher').waitFor();
  const segments = page.getByRole('table', { name: 'Segments' });
  await segments.getByText('EV9').waitFor(REFRESHED);
  await page.getByLabel('Divided by').selectOption({ label: 'Region' });
  await segments.getByText('KR').waitFor();
  const chart = page.getByRole('figure', { name: 'The effect over time' });
  await chart.locator('canvas').waitFor(REFRESHED);
  await chart.getByText('The numbers as a table').click();
  await chart.getByRole('table').getByText('%').first().waitFor();
  await editor.expectAccessible();

  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Export the vehicles as CSV' }).click(),
  ]);
  const rows = (await readFile(await download.path(), 'utf8')).trim().split('\r\n');
  expect(rows).toHaveLength(vehicles.length + 1);
  expect(rows[0]).toMatch(/^id,arm,exposedAt,/);

  await page.getByRole('button', { name: 'Complete' }).click();
  await dialog.getByLabel('Let the test for the planned end decide all the same').check();
  await dialog.getByRole('button', { name: 'Complete' }).click();
  await dialog.getByText('Say why.').waitFor();
  await dialog.getByLabel('Reason').fill('The model year closes');
  await editor.expectAccessible();
  await dialog.getByRole('button', { name: 'Complete' }).click();
  await page
    .getByText(/With the feature the metric is higher by .*That is better, as the metric is declared/)
    .waitFor();
  await page.getByText('It was made to decide before the end: “The model year closes”.').waitFor();
  await page.getByText('The greater mean: With the feature.').waitFor();
  await editor.expectAccessible();
  await editor.close();
});

inBrowser('lists, results and forms of experiments fit on a phone in Korean, and a reader may look', async () => {
  const { createExperiment } = await admin.ok<{ createExperiment: { id: string } }>(
    'mutation ($input: CreateExperimentInput!) { createExperiment(input: $input) { id } }',
    {
      input: {
        flagKey: KEY,
        name: '주행 거리 실험',
        startDate: new Date().toISOString(),
        sampleSize: 100,
        primaryMetric: METRIC,
      },
    },
  );
  const editor = await ConsolePage.open(browser, deployment, { ...PHONE, locale: 'ko-KR', colorScheme: 'dark' });
  const { page } = editor;
  await editor.goTo(`/experiments/${createExperiment.id}`);
  await editor.signIn(SAMPLE_PEOPLE.editor, KOREAN);
  await editor.heading('주행 거리 실험');
  await page.getByText('계획 단계입니다.').waitFor();
  await editor.expectAccessible();
  await editor.goTo(`/experiments/${createExperiment.id}/edit`);
  await page.getByRole('button', { name: '가드레일 추가' }).click();
  await page.getByLabel('가드레일 1').waitFor();
  await editor.expectAccessible();
  await editor.goTo(`/experiments/${createExperiment.id}`);
  await page.getByRole('button', { name: '실험 취소' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('사유').fill('다음 연식으로 연기');
  await dialog.getByRole('button', { name: '실험 취소' }).click();
  await page.getByText('취소됨: “다음 연식으로 연기”').waitFor();
  await editor.goTo('/experiments?status=COMPLETED');
  await page.getByText('실험 1개').waitFor();
  await editor.expectAccessible();
  await page.getByRole('link', { name: /Further with one charge/ }).click();
  await page.getByText('종료 시점 검정으로 판단합니다.').waitFor();
  await page.getByRole('figure').locator('canvas').waitFor();
  await editor.expectAccessible();
  await editor.close();

  const reader = await ConsolePage.open(browser, deployment);
  await reader.goTo(`/experiments?flag=${KEY}`);
  await reader.signIn(SAMPLE_PEOPLE.reader);
  await reader.page.getByText('2 experiments').waitFor();
  await reader.page.getByText('Your role may not change experiments.').waitFor();
  await reader.expectAccessible();
  await reader.close();
});
