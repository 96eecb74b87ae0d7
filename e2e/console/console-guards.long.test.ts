/**
 * The guards of release policies and releases in a real browser: set, changed and removed, and what they have found.
 */
import { afterAll, beforeAll, expect } from '@jest/globals';
import { ADMIN } from '../harness/deployment.ts';
import { valuesOf, vehiclesOnBothSides } from '../harness/drawn-vehicles.ts';
import { eventually } from '../harness/process.ts';
import { PHONE, inBrowser, noBrowser } from './browser.ts';
import { MeasuringVehicle } from './measuring-vehicles.ts';
import { SampleConsole } from './sample-console.ts';
import { SAMPLE_PEOPLE } from './sample-fleet.ts';

const METRIC = 'charge_minutes';
/** Whether charging failed, and whether it stopped: 0 or 1. A metric counts under whichever flag it is measured. */
const FAILED = 'charge_failed';
const STOPPED = 'charge_stopped';
/** A flag whose release its guard holds, and one whose release its guard halts. */
const HELD = 'guarded.held';
const HALTED = 'guarded.halted';
const [STABLE, NEW] = [10, 20];
const VEHICLES = 20;
const AT_LEAST_ON_EACH_SIDE = 8;

const SET_POLICY = 'mutation ($input: ReleasePolicyInput!) { setReleasePolicy(input: $input) { updatedAt } }';
const UPDATE =
  'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied } }';
const GUARDS = `query ($environment: Environment!) { releasePolicy(environment: $environment) {
  guards { metric worse maxWorsePercent bound action confidenceLevel minimumVehicles silence } } }`;
const FOUND = `query ($key: String!) { releases(flagKey: $key, first: 1) { nodes { status guards { status {
  verdict treatmentMean treatmentVehicles controlMean controlVehicles } } } } }`;

interface Found {
  readonly releases: {
    readonly nodes: readonly {
      readonly status: string;
      readonly guards: readonly {
        readonly status: {
          readonly verdict: string;
          readonly treatmentVehicles: number;
          readonly controlVehicles: number;
        } | null;
      }[];
    }[];
  };
}

let sample: SampleConsole;

const setPolicy = (environment: string, guards: readonly object[]) =>
  sample.admin.ok(SET_POLICY, {
    input: {
      ...{ environment, guards, safetyLevels: ['NON_CRITICAL'] },
      stages: [
        { percentage: 50, soak: environment === 'PRODUCTION' && guards.length > 0 ? 'PT1S' : 'PT1H' },
        { percentage: 100, soak: 'PT1H' },
      ],
    },
  });
const guardsOf = async (environment: string) =>
  (await sample.admin.ok<{ releasePolicy: { guards: object[] } }>(GUARDS, { environment })).releasePolicy.guards;
const newest = async (key: string) => (await sample.admin.ok<Found>(FOUND, { key })).releases.nodes[0];

/** Lets something happen in every vehicle that has the new content of a flag, and in no other. */
async function measureUnder(key: string, metricName: string, vehicles: readonly MeasuringVehicle[]): Promise<void> {
  for (const vehicle of vehicles) {
    const [value] = await valuesOf(sample.admin, vehicle.vin, [key]);
    await vehicle.measure([{ flagKey: key, metricName, value: value === NEW ? 1 : 0 }]);
  }
}

beforeAll(async () => {
  if (noBrowser !== null) return;
  sample = await SampleConsole.start();
  for (const input of [
    { key: METRIC, kind: 'MEAN', unit: 'min', minimum: 0, maximum: 60, better: 'LOWER' },
    { key: FAILED, kind: 'PROPORTION', better: 'LOWER' },
    { key: STOPPED, kind: 'PROPORTION', better: 'LOWER' },
  ])
    await sample.admin.ok('mutation ($input: MetricDefinitionInput!) { defineMetric(input: $input) { key } }', {
      input,
    });
  for (const key of [HELD, HALTED]) await sample.makeFlag(key, { type: 'NUMBER', defaultValue: STABLE });
  for (const [key, metric, action] of [
    [HELD, FAILED, 'HOLD'],
    [HALTED, STOPPED, 'HALT'],
  ] as const) {
    await setPolicy('PRODUCTION', [
      // Every vehicle must have measured, so that the first few measurements let no release move on.
      { metric, worse: 'HIGHER', maxWorsePercent: 5, minimumVehicles: VEHICLES, action },
    ]);
    await sample.admin.ok(UPDATE, { key, input: { defaultValue: NEW } });
  }
}, 180_000);
afterAll(() => sample?.close(), 60_000);

inBrowser('an administrator sets guards in the form of a policy, changes one and removes one', async () => {
  await setPolicy('STAGING', []);
  const operator = await sample.openAs('/policies/staging', ADMIN);
  const { page } = operator;
  await operator.heading('Release policy: Staging');
  const guard = (position: number) => page.getByRole('group', { name: `Guard ${position}` });
  const set = async () => {
    await page.getByRole('button', { name: 'Set the policy' }).click();
    await page.getByText('The policy is set.').waitFor();
    await page.getByRole('link', { name: 'All policies' }).click();
  };
  const staging = page.getByRole('region', { name: 'Staging' });
  const change = async () => {
    await page.getByRole('link', { name: 'Change the policy: Staging' }).click();
    await operator.heading('Release policy: Staging');
  };

  await page.getByRole('button', { name: 'Add a guard' }).click();
  await guard(1).getByLabel('Metric').fill('never_declared');
  await guard(1).getByLabel('Percent', { exact: true }).fill('ten');
  await page.getByRole('button', { name: 'Set the policy' }).click();
  await page
    .locator(':focus')
    .and(guard(1).getByLabel('Percent', { exact: true }))
    .waitFor();
  await guard(1).getByLabel('Percent', { exact: true }).fill('10');
  await page.getByRole('button', { name: 'Set the policy' }).click();
  // By the path of the control plane's fault.
  await guard(1).getByText('never_declared is not declared').waitFor();
  expect(await guard(1).getByLabel('Metric').getAttribute('aria-invalid')).toBe('true');
  await operator.expectAccessible();
  await guard(1).getByLabel('Metric').fill(METRIC);
  await page.getByRole('button', { name: 'Add a guard' }).click();
  await guard(2).getByLabel('Metric').fill(METRIC);
  await guard(2).getByLabel('Limit', { exact: true }).selectOption({ label: 'A value that the mean must not pass' });
  await guard(2).getByLabel('Value', { exact: true }).fill('45');
  await guard(2).getByLabel('When the limit is crossed').selectOption({ label: 'hold the release' });
  await guard(2).getByLabel('Confidence in percent').fill('99.5');
  await guard(2).getByLabel('Vehicles needed for the next stage').fill('200');
  await guard(2).getByLabel('Minutes without a measurement until it holds').fill('90');
  await operator.expectAccessible();
  await set();
  const first = { metric: METRIC, worse: 'HIGHER', maxWorsePercent: 10, bound: null, action: 'HALT' };
  const second = { metric: METRIC, worse: 'HIGHER', maxWorsePercent: null, bound: 45, action: 'HOLD' };
  const usual = { confidenceLevel: 0.95, minimumVehicles: 50, silence: 'PT30M' };
  const strict = { confidenceLevel: 0.995, minimumVehicles: 200, silence: 'PT1H30M' };
  expect(await guardsOf('STAGING')).toEqual([
    { ...first, ...usual },
    { ...second, ...strict },
  ]);
  await staging.getByText(`${METRIC} at most 10% higher than in the other vehicles · halt the release`).waitFor();
  await staging.getByText(`${METRIC} the mean stays at most 45 · hold the release`).waitFor();
  await operator.expectAccessible();

  await change();
  await guard(1).getByLabel('Percent', { exact: true }).fill('7.5');
  await guard(1).getByLabel('What is worse').selectOption({ label: 'Lower values' });
  await set();
  expect(await guardsOf('STAGING')).toEqual([
    { ...first, ...usual, worse: 'LOWER', maxWorsePercent: 7.5 },
    { ...second, ...strict },
  ]);
  await change();
  await page.getByRole('button', { name: 'Remove guard 1' }).click();
  expect(await guard(1).getByLabel('Value', { exact: true }).inputValue()).toBe('45');
  await set();
  expect(await guardsOf('STAGING')).toEqual([{ ...second, ...strict }]);
  await staging.getByText('at most 10%').waitFor({ state: 'detached' });
  await operator.close();
});

inBrowser('the panel of a release shows what its guards have found, and why it holds or was halted', async () => {
  const vins = await vehiclesOnBothSides(sample.admin, [HELD, HALTED], {
    ...{ count: VEHICLES, atLeast: AT_LEAST_ON_EACH_SIDE },
  });
  const vehicles = await Promise.all(vins.map((vin) => MeasuringVehicle.register(sample.admin, vin, 'EV9')));
  const reader = await sample.openAs(`/flags/${HELD}`, SAMPLE_PEOPLE.reader);
  const { page } = reader;
  const panel = page.getByRole('region', { name: 'Release under way' });
  const limit = 'at most 5% higher than in the other vehicles';
  const guard = panel.getByRole('listitem').filter({ hasText: FAILED });
  await guard.getByText(`${FAILED} ${limit} · holds the release ·`).waitFor();
  await panel.getByText('It holds: ').waitFor();

  await measureUnder(HELD, FAILED, vehicles);
  const crossed = await eventually(
    async () => {
      const release = await newest(HELD);
      const status = release?.guards[0]?.status;
      return status?.verdict === 'CROSSED' && release?.status === 'HOLDING' ? status : null;
    },
    'the guard finds its limit crossed',
    120_000,
  );
  const { treatmentVehicles: ring, controlVehicles: rest } = crossed;
  await guard.getByText('The limit is crossed').waitFor();
  await guard.getByText(`1 in ${ring} vehicles with the new content, 0 in ${rest} others`).waitFor();
  const found = `the guard of ${FAILED} is crossed: 1 in ${ring} vehicles with the new content, 0 in ${rest} others; the limit is 5% worse.`;
  await panel.getByText(`It holds: ${found}`).waitFor();
  await reader.expectAccessible();

  await measureUnder(HALTED, STOPPED, vehicles);
  await eventually(
    async () => (await newest(HALTED))?.status === 'HALTED',
    'the guard halts the other release',
    120_000,
  );
  const phone = await sample.openAs(`/flags/${HALTED}`, SAMPLE_PEOPLE.reader, PHONE);
  const ended = phone.page.getByRole('region', { name: 'Earlier releases' }).getByRole('listitem').first();
  await ended.getByText('Halted').waitFor();
  await ended.getByText(`the guard of ${STOPPED} is crossed: 1 in `).waitFor();
  await phone.expectAccessible();
  await phone.close();
  await reader.close();
});

inBrowser('an editor guards one change, and reads the reason beside the guard', async () => {
  const editor = await sample.openAs(`/flags/${HELD}`, SAMPLE_PEOPLE.editor);
  const { page } = editor;
  const panel = page.getByRole('region', { name: 'Release under way' });
  await panel.getByRole('button', { name: 'Guard the release' }).click();
  const dialog = page.getByRole('dialog', { name: 'Guard the release' });
  const guard = dialog.getByRole('group', { name: 'Guard 1' });
  await guard.getByLabel('Metric').fill(FAILED);
  await guard.getByLabel('When the limit is crossed').selectOption({ label: 'hold the release' });
  await guard.getByLabel('Vehicles needed for the next stage').fill('4');
  const add = () => dialog.getByRole('button', { name: 'Guard the release' }).click();
  await add();
  await dialog.getByText('Say why.').waitFor();
  await dialog.getByLabel('Reason').fill('Charging failed in the field trial');
  await add();
  // The policy has this one: an added guard must find more.
  await guard.getByText('is as strict').waitFor();
  await editor.expectAccessible();
  await guard.getByLabel('Metric').fill(METRIC);
  await add();
  await dialog.waitFor({ state: 'detached' });
  const added = panel.getByRole('listitem').filter({ hasText: METRIC });
  await added.getByText('Added to this release: “Charging failed in the field trial”').waitFor();
  await editor.expectAccessible();
  await editor.close();
});
