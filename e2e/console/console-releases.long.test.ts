/**
 * Releases in a real browser: one is followed, promoted and halted, and one of an ASIL-D flag waits for a second
 * person.
 */
import { afterAll, beforeAll, expect } from '@jest/globals';
import { Api } from '../harness/api.ts';
import { eventually } from '../harness/process.ts';
import { PHONE, inBrowser, noBrowser } from './browser.ts';
import { SampleConsole } from './sample-console.ts';
import { ASIL_D_FLAG, SAMPLE_PEOPLE, sampleVin } from './sample-fleet.ts';

const KEY = 'release.limit';
/** The vehicles of the production environment; they get each change first. */
const VINS = [sampleVin(1), sampleVin(2)];

const SET_POLICY = 'mutation ($input: ReleasePolicyInput!) { setReleasePolicy(input: $input) { environment } }';
const UPDATE =
  'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied changeRequest { id } } }';
const APPROVE = 'mutation ($id: ID!) { approveChangeRequest(id: $id, comment: "Hazard analysis 8") { id } }';
const NEWEST = `query ($key: String!) {
  flag(key: $key) { revision defaultValue }
  releases(flagKey: $key, first: 1) { nodes { status percentage reason } }
}`;

interface Newest {
  readonly flag: { readonly revision: number; readonly defaultValue: unknown };
  readonly releases: { readonly nodes: readonly { readonly status: string; readonly percentage: number }[] };
}

let sample: SampleConsole;
let safety: Api;
let vehicles: Api[];

/** Sets the policy of the production environment; the first stage has the canary group and a share of the others. */
const setPolicy = (soak: 'PT1S' | 'PT1H') =>
  sample.admin.ok(SET_POLICY, {
    input: {
      environment: 'PRODUCTION',
      stages: [
        { percentage: 10, soak, minimumVehicles: 2 },
        { percentage: 100, soak: 'PT1H', minimumVehicles: 0 },
      ],
      canary: { vins: VINS },
    },
  });
const newest = async (key: string) => {
  const { flag, releases } = await sample.admin.ok<Newest>(NEWEST, { key });
  return { ...flag, release: releases.nodes[0] };
};

/** Changes the ASIL-D flag as two people do. */
async function changeByTwo(editor: Api, mutation: string, input?: object): Promise<void> {
  const answer = await editor.ok<Record<string, { changeRequest: { id: string } }>>(mutation, {
    key: ASIL_D_FLAG.key,
    input,
  });
  await safety.ok(APPROVE, { id: Object.values(answer)[0]?.changeRequest.id });
}

beforeAll(async () => {
  if (noBrowser !== null) return;
  sample = await SampleConsole.start();
  const { deployment, admin } = sample;
  safety = await Api.signedIn(deployment, SAMPLE_PEOPLE.safety);
  const editor = await Api.signedIn(deployment, SAMPLE_PEOPLE.editor);
  vehicles = await Promise.all(VINS.map(async (vin) => new Api(deployment, await admin.vehicle(vin))));
  await sample.makeFlag(KEY, { type: 'NUMBER', defaultValue: 10 });
  await changeByTwo(editor, 'mutation ($key: String!) { enableFlag(key: $key) { changeRequest { id } } }');
  await setPolicy('PT1S');
  await changeByTwo(editor, UPDATE, { defaultValue: true });
  await setPolicy('PT1H');
}, 180_000);
afterAll(() => sample?.close(), 60_000);

inBrowser('a release is followed through its stages, promoted, and halted with the reason', async () => {
  await sample.admin.ok(UPDATE, { key: KEY, input: { defaultValue: 20 } });
  const operator = await sample.openAs('/flags', SAMPLE_PEOPLE.editor);
  const { page } = operator;
  await page
    .getByRole('row', { name: new RegExp(KEY) })
    .getByText('Release runs · 10%')
    .waitFor();
  await operator.expectAccessible();
  // The first page shows a person on call that a release runs, with a link to it.
  await page.getByRole('link', { name: /^\d+ releases? runs?$/ }).click();
  await page.getByText(/^\d+ flags?$/).waitFor();
  expect(await page.getByLabel('State').inputValue()).toBe('release');

  await page.getByRole('link', { name: new RegExp(KEY) }).click();
  const panel = page.getByRole('region', { name: 'Release under way' });
  const stage = (name: RegExp) =>
    panel.getByRole('table', { name: 'Stages of the release' }).getByRole('row', { name }).waitFor();
  await panel.getByText('What you see on this page is the new content.').waitFor();
  await stage(/^1 10% 1 hour 2 vehicles now$/);
  await stage(/^2 100% 1 hour none to come$/);
  await panel
    .getByRole('table', { name: 'Stable and new content' })
    .getByRole('row', { name: /^Default value 10 20$/ })
    .waitFor();
  await panel.getByText('No vehicle has reported a fault').waitFor();
  const { revision } = await newest(KEY);
  const fault = { flagKey: KEY, revision, kind: 'REPORTED_BY_PROGRAM', message: 'The charger is too hot.' };
  await vehicles[0]?.ok('mutation ($input: FaultReportInput!) { reportFaults(input: $input) }', {
    input: { faults: [{ ...fault, occurredAt: new Date().toISOString() }] },
  });
  await panel
    .getByRole('table', { name: 'Faults that vehicles have reported' })
    .getByRole('row', { name: /^A program reports it 1 .*The charger is too hot/ })
    .waitFor();
  // The vehicle with the fault is in the canary group, and those of the rest have no change yet.
  await panel
    .getByRole('table', { name: 'Faulty vehicles with the new content and of the others' })
    .getByRole('row', { name: /^With the new content 1 1 100%$/ })
    .waitFor();
  await operator.expectAccessible();

  // A form says which of the two contents it shows.
  await page.getByRole('link', { name: 'Change', exact: true }).first().click();
  await page.getByText('what you see is its new content').waitFor();
  await operator.expectAccessible();
  await page.goBack();

  await panel.getByRole('button', { name: 'Promote the release' }).click();
  const dialog = page.getByRole('dialog', { name: 'Promote the release' });
  const promote = () => dialog.getByRole('button', { name: 'Promote the release' }).click();
  await promote();
  await dialog.getByText('Say why.').waitFor();
  await dialog.getByLabel('Reason').fill('Needed tonight');
  await promote();
  await dialog.getByText('Give a number from 0 to 100.').waitFor();
  await dialog.getByLabel('Percentage').fill('5');
  await promote();
  await dialog.locator('.field-wrong').getByText('A promotion must raise the percentage').waitFor();
  await operator.expectAccessible();
  // Another person promotes the release first.
  await sample.admin.ok(
    'mutation ($key: String!) { promoteRelease(flagKey: $key, percentage: 40, reason: "Me") { applied } }',
    {
      key: KEY,
    },
  );
  await dialog.getByText('The release has moved on meanwhile, to 40%.').waitFor();
  expect(await dialog.getByRole('button', { name: 'Promote the release' }).isDisabled()).toBe(true);
  await dialog.getByRole('button', { name: 'Go on with the present one' }).click();
  await dialog.getByLabel('Percentage').fill('50');
  await promote();
  await dialog.waitFor({ state: 'detached' });
  await panel.getByText('50%', { exact: true }).waitFor();
  expect((await newest(KEY)).release).toMatchObject({ status: 'RUNNING', percentage: 50 });

  await panel.getByRole('button', { name: 'Halt the release' }).click();
  const halt = page.getByRole('dialog', { name: 'Halt the release' });
  await halt.getByText('Everybody gets the stable content back').waitFor();
  await halt.getByRole('button', { name: 'Halt the release' }).click();
  await halt.getByText('Say why.').waitFor();
  await operator.expectAccessible();
  await halt.getByLabel('Reason').fill('Chargers get hot');
  await halt.getByRole('button', { name: 'Halt the release' }).click();
  await page.getByText('The release has ended.').waitFor();
  const ended = page.getByRole('region', { name: 'Earlier releases' }).getByRole('listitem').first();
  await ended.getByText('Halted').waitFor();
  await ended.getByText('“Chargers get hot”').waitFor();
  await ended.locator('summary').click();
  await ended.getByLabel('Its content').getByText('"defaultValue": 20').waitFor();
  await operator.expectAccessible();
  expect(await newest(KEY)).toMatchObject({
    defaultValue: 10,
    release: { status: 'HALTED', percentage: 50, reason: 'Chargers get hot' },
  });
  await operator.close();
});

inBrowser(
  'the promotion of an ASIL-D flag waits for a second person, who reads in Korean why the release holds',
  async () => {
    const { key } = ASIL_D_FLAG;
    await eventually(
      async () => (await newest(key)).release?.status === 'HOLDING',
      'the release holds, because no vehicle has reported it',
      120_000,
    );
    const editor = await sample.openAs(`/flags/${key}`, SAMPLE_PEOPLE.editor);
    const panel = editor.page.getByRole('region', { name: 'Release under way' });
    await panel.getByText('It holds: 0 of 2 vehicles report the new content.').waitFor();
    await panel.getByRole('button', { name: 'Promote the release' }).click();
    const dialog = editor.page.getByRole('dialog');
    await dialog.getByText('waits until a second person approves it').waitFor();
    await dialog.getByLabel('Percentage').fill('100');
    await dialog.getByLabel('Reason').fill('Field trial is over');
    await dialog.getByRole('button', { name: 'Request approval' }).click();
    await editor.page.getByText('A change of this flag waits for approval.').waitFor();
    expect((await newest(key)).release).toMatchObject({ percentage: 10 });

    const reviewer = await sample.openAs(`/flags/${key}`, SAMPLE_PEOPLE.safety, { ...PHONE, locale: 'ko-KR' });
    const korean = reviewer.page.getByRole('region', { name: '진행 중인 단계 배포' });
    await korean.getByText('새 내용을 보고한 차량이 2대 중 0대입니다.').waitFor();
    // A safety reviewer may halt, and not promote.
    await korean.getByRole('button', { name: '단계 배포 승격' }).click({ force: true });
    await korean.getByText('현재 역할로는 단계 배포를 승격할 수 없습니다.').waitFor();
    await reviewer.expectAccessible();
    await reviewer.goTo('/changes');
    await reviewer.page.getByRole('heading', { name: /단계 배포 승격/ }).waitFor();
    await reviewer.page.getByRole('button', { name: '승인', exact: true }).click();
    await reviewer.page.getByText('승인했습니다.').waitFor();
    await panel.getByText('100%', { exact: true }).first().waitFor();
    await eventually(async () => (await newest(key)).release?.percentage === 100, 'the release is promoted');
    await reviewer.close();
    await editor.close();
  },
);

inBrowser('a reader sees a release, why they may not act on it, and what waits in a vehicle', async () => {
  await sample.admin.ok(UPDATE, { key: KEY, input: { defaultValue: 30 } });
  const { revision } = await newest(KEY);
  await vehicles[1]?.ok('mutation ($input: AgentHeartbeatInput!) { agentHeartbeat(input: $input) }', {
    input: { appliedRevision: revision, agentVersion: '1.2.0', pending: [{ key: KEY, revision }] },
  });
  const reader = await sample.openAs(`/flags/${KEY}`, SAMPLE_PEOPLE.reader);
  const { page } = reader;
  const panel = page.getByRole('region', { name: 'Release under way' });
  await panel.getByRole('button', { name: 'Halt the release' }).click({ force: true });
  await panel.getByText('Your role may not halt releases.').waitFor();
  const progress = page.getByRole('region', { name: 'The last change in the fleet' });
  await progress.getByText('In 1 vehicle it is stored, and waits until the vehicle may change over.').waitFor();
  await reader.expectAccessible();
  // A kill switch would not give the default value that the page of the flag shows.
  await reader.goTo(`/flags/${KEY}/kill`);
  await page.getByText('the one from before the release that is under way').waitFor();
  await reader.expectAccessible();
  await reader.goTo(`/fleet/${VINS[1]}`);
  const agent = page.getByRole('region', { name: 'The agent in the vehicle' });
  await agent.getByText('Wait for the end of the drive').waitFor();
  await agent.getByRole('link', { name: KEY }).waitFor();
  await reader.expectAccessible();
  await reader.close();
});
