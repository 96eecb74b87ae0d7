/**
 * Two people at the console who change the same thing. Nobody loses what they typed, and each sees what the other did.
 */
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Page } from 'playwright-core';
import { eventually } from '../../core/testing/eventually.ts';
import { ADMIN } from '../harness/deployment.ts';
import { PHONE, inBrowser, noBrowser } from './browser.ts';
import { SampleConsole } from './sample-console.ts';
import { ASIL_D_FLAG, SAMPLE_PEOPLE } from './sample-fleet.ts';

const UPDATE_RULE = 'mutation ($id: ID!, $input: UpdateRuleInput!) { updateRule(id: $id, input: $input) { applied } }';

let sample: SampleConsole;

beforeAll(async () => {
  if (noBrowser === null) sample = await SampleConsole.start();
}, 180_000);

afterAll(() => sample?.close(), 60_000);

const live = (page: Page) => page.locator('.connection').getByText('Live', { exact: true }).waitFor();
const saved = (page: Page) => page.getByText('Saved. The change is on its way to the fleet.').waitFor();
const changedMeanwhile = (page: Page) => page.getByText('The flag has changed meanwhile.').waitFor();

async function saveRule(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Check and preview' }).click();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await saved(page);
}

/** Makes a flag with one rule, and gives the rule's id. */
async function makeFlagWithRule(key: string, conditions: object): Promise<string> {
  await sample.makeFlag(key, {}, [{ type: 'PERCENTAGE_ROLLOUT', priority: 20, conditions }]);
  return (await sample.flagOf(key)).rules[0]?.id ?? '';
}

inBrowser('two people change conditions of one rule, and both changes are kept', async () => {
  const id = await makeFlagWithRule('two.merge', { rollout_percentage: 5, models: ['EV9', 'GV60'] });
  const editor = await sample.openAs(`/flags/two.merge/rules/${id}`, SAMPLE_PEOPLE.editor);
  const { page } = editor;
  await live(page);
  await page.getByLabel('Percentage').fill('25');
  await page.getByLabel('Models', { exact: true }).first().fill('Ioniq 5');
  await sample.admin.ok(UPDATE_RULE, {
    id,
    input: { conditions: { rollout_percentage: 5, models: ['EV9', 'Ioniq 6'], regions: ['KR'] } },
  });
  await changedMeanwhile(page);
  await page.getByRole('button', { name: 'Apply again' }).click();
  await saveRule(page);
  expect((await sample.flagOf('two.merge')).rules).toMatchObject([
    { conditions: { rollout_percentage: 25, models: ['EV9', 'Ioniq 6', 'Ioniq 5'], regions: ['KR'] } },
  ]);
  await editor.close();
});

inBrowser('a rule that somebody deletes while its form is filled in can be saved as a new one', async () => {
  const id = await makeFlagWithRule('two.deleted', { rollout_percentage: 5 });
  const editor = await sample.openAs(`/flags/two.deleted/rules/${id}`, SAMPLE_PEOPLE.editor);
  const { page } = editor;
  await live(page);
  await page.getByLabel('Percentage').fill('25');
  await sample.admin.ok('mutation ($id: ID!) { deleteRule(id: $id) { applied } }', { id });
  await page.getByText('This rule has been deleted meanwhile.').waitFor();
  await changedMeanwhile(page);
  expect(await page.getByLabel('Percentage').inputValue()).toBe('25');
  await editor.expectAccessible();
  await page.getByRole('button', { name: 'Apply again' }).click();
  await saveRule(page);
  expect((await sample.flagOf('two.deleted')).rules).toMatchObject([{ conditions: { rollout_percentage: 25 } }]);
  await editor.goTo(`/flags/two.deleted/rules/${id}`);
  await page.getByText('The flag has no such rule.').waitFor();
  await editor.close();
});

inBrowser('a form stays when its flag is archived meanwhile, and goes on when it is brought back', async () => {
  await sample.makeFlag('two.archived');
  const editor = await sample.openAs('/flags/two.archived/edit', SAMPLE_PEOPLE.editor);
  const { page } = editor;
  await live(page);
  await page.getByLabel('Description').fill('Written for an hour');
  await sample.admin.ok('mutation { archiveFlag(key: "two.archived") { applied } }');
  await page.getByText('The flag is archived. Bring it back first.').waitFor();
  await sample.admin.ok('mutation { unarchiveFlag(key: "two.archived") { applied } }');
  await page.getByText('The flag is archived. Bring it back first.').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Apply again' }).click();
  expect(await page.getByLabel('Description').inputValue()).toBe('Written for an hour');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await saved(page);
  expect(await sample.flagOf('two.archived')).toMatchObject({ description: 'Written for an hour', enabled: false });
  await editor.close();
});

inBrowser('a question whether to switch a rule off does not turn around when somebody else switches it', async () => {
  const id = await makeFlagWithRule('two.switched', { rollout_percentage: 5 });
  const editor = await sample.openAs('/flags/two.switched', SAMPLE_PEOPLE.editor);
  const { page } = editor;
  await live(page);
  await page.getByRole('button', { name: /^Switch off: / }).click();
  const dialog = page.getByRole('dialog', { name: 'Switch off' });
  const confirm = dialog.getByRole('button', { name: 'Switch off' });
  await confirm.waitFor();
  await sample.admin.ok(UPDATE_RULE, { id, input: { enabled: false } });
  await dialog.getByText('See what has changed').waitFor();
  expect(await confirm.isDisabled()).toBe(true);
  await editor.expectAccessible();
  await dialog.getByRole('button', { name: 'Go on' }).click();
  await confirm.click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  expect((await sample.flagOf('two.switched')).rules).toMatchObject([{ enabled: false }]);
  await editor.close();
});

inBrowser('a comment stays when another reviewer decides first, and says who has decided', async () => {
  await sample.admin.ok('mutation ($key: String!) { enableFlag(key: $key) { applied } }', { key: ASIL_D_FLAG.key });
  const reviewer = await sample.openAs('/changes', SAMPLE_PEOPLE.safety);
  const { page } = reviewer;
  await live(page);
  const { changeRequests } = await sample.admin.ok<{ changeRequests: { id: string; flag: { key: string } }[] }>(
    '{ changeRequests { id flag { key } } }',
  );
  const id = changeRequests.find(({ flag }) => flag.key === ASIL_D_FLAG.key)?.id;
  const card = page.getByRole('article').filter({ hasText: ASIL_D_FLAG.name });
  await card.getByLabel('Comment').fill('Hazard analysis 7.3 is missing');
  await sample.admin.ok('mutation ($id: ID!) { cancelChangeRequest(id: $id) { id } }', { id });
  await card.getByText('Somebody else has decided this meanwhile.').waitFor();
  await card.getByText('Cancelled', { exact: true }).waitFor();
  expect(await card.getByLabel('Comment').inputValue()).toBe('Hazard analysis 7.3 is missing');
  await reviewer.expectAccessible();
  await card.getByRole('button', { name: 'Take it off the list' }).click();
  await card.waitFor({ state: 'detached' });
  await reviewer.close();
});

const SAVE_SEGMENT =
  'mutation ($key: String!, $conditions: JSON!) { saveSegment(key: $key, name: "A fleet", conditions: $conditions) { applied } }';
const segmentOf = async (key: string) =>
  (
    await sample.admin.ok<{ segment: { name: string; conditions: unknown } | null }>(
      'query ($key: String!) { segment(key: $key) { name conditions } }',
      { key },
    )
  ).segment;

inBrowser('of two decisions at the same moment, the second says that somebody else was first', async () => {
  await sample.admin.ok('mutation ($key: String!) { enableFlag(key: $key) { applied } }', { key: ASIL_D_FLAG.key });
  const reviewer = await sample.openAs('/changes', SAMPLE_PEOPLE.safety);
  const { page } = reviewer;
  const card = page.getByRole('article').filter({ hasText: ASIL_D_FLAG.name });
  const approve = card.getByRole('button', { name: 'Approve' });
  await approve.waitFor();
  const { changeRequests } = await sample.admin.ok<{ changeRequests: { id: string }[] }>('{ changeRequests { id } }');
  await page.route('**/graphql', async (route) => {
    if (route.request().postData()?.includes('ApproveRequest') === true)
      await sample.admin.ok('mutation ($id: ID!) { cancelChangeRequest(id: $id) { id } }', {
        id: changeRequests[0]?.id,
      });
    await route.continue();
  });
  await approve.click();
  await card.getByText('Somebody else has decided this meanwhile.').waitFor();
  await card.getByText('Cancelled', { exact: true }).waitFor();
  expect((await sample.flagOf(ASIL_D_FLAG.key)).enabled).toBe(false);
  await page.unrouteAll({ behavior: 'wait' });
  await reviewer.close();
});

inBrowser('two people change one segment, and both changes are kept', async () => {
  await sample.admin.ok(SAVE_SEGMENT, { key: 'two.fleet', conditions: { models: ['EV9', 'GV60'] } });
  const editor = await sample.openAs('/segments/two.fleet', SAMPLE_PEOPLE.editor);
  const { page } = editor;
  await live(page);
  await page.getByLabel('Regions', { exact: true }).first().fill('KR');
  await page.getByLabel('Models', { exact: true }).first().fill('Ioniq 5');
  await sample.admin.ok(SAVE_SEGMENT, { key: 'two.fleet', conditions: { models: ['EV9', 'Ioniq 6'] } });
  await page.getByText('The segment has changed meanwhile.').waitFor();
  await editor.expectAccessible();
  await page.getByRole('button', { name: 'Apply again' }).click();
  await page.getByRole('button', { name: 'Save the segment' }).click();
  await page.getByText('Saved.', { exact: true }).waitFor();
  const merged = { models: ['EV9', 'Ioniq 6', 'Ioniq 5'], regions: ['KR'] };
  expect(await segmentOf('two.fleet')).toMatchObject({ conditions: merged });

  // A second change of the same person is no conflict with their first, though it is typed before that is read again.
  let readAgain = () => {};
  const isTyped = new Promise<void>((resolve) => (readAgain = resolve));
  await page.route('**/graphql', async (route) => {
    if (route.request().postData()?.includes('OneSegment') === true) await isTyped;
    await route.continue();
  });
  await page.getByLabel('Name', { exact: true }).fill('Renamed once');
  await page.getByRole('button', { name: 'Save the segment' }).click();
  await page.getByText('Saved.', { exact: true }).waitFor();
  await page.getByLabel('Name', { exact: true }).fill('Renamed');
  const answer = page.waitForResponse((response) => response.request().postData()?.includes('OneSegment') === true);
  readAgain();
  await answer;
  await page.unroute('**/graphql');
  await page.getByRole('button', { name: 'Save the segment' }).click();
  await page.getByText('Saved.', { exact: true }).waitFor();
  expect(await segmentOf('two.fleet')).toEqual({ name: 'Renamed', conditions: merged });

  await page.getByLabel('Name', { exact: true }).fill('Made again');
  await sample.admin.ok('mutation { deleteSegment(key: "two.fleet") { key } }');
  await page.getByText('The segment has been deleted meanwhile.').waitFor();
  await page.getByRole('button', { name: 'Apply again' }).click();
  await page.getByRole('button', { name: 'Save the segment' }).click();
  await page.getByText('Saved.', { exact: true }).waitFor();
  expect(await segmentOf('two.fleet')).toEqual({ name: 'Made again', conditions: merged });

  // A new segment does not overwrite one that somebody else has made with the same key.
  await editor.goTo('/new-segment');
  await page.getByLabel('Key', { exact: true }).fill('two.fleet');
  await page.getByLabel('Name', { exact: true }).fill('Another');
  await page.getByLabel('Regions', { exact: true }).first().fill('EU');
  await page.getByRole('button', { name: 'Save the segment' }).click();
  await page.locator('.field-wrong').getByText('The segment two.fleet already exists.').waitFor();
  expect(await segmentOf('two.fleet')).toEqual({ name: 'Made again', conditions: merged });
  await editor.close();
});

inBrowser('deleting a segment asks first, and nothing happens when the question is closed', async () => {
  await sample.admin.ok(SAVE_SEGMENT, { key: 'two.removed', conditions: { regions: ['KR'] } });
  const editor = await sample.openAs('/segments/two.removed', SAMPLE_PEOPLE.editor);
  const { page } = editor;
  const dialog = page.getByRole('dialog', { name: 'Delete the segment: A fleet' });
  const ask = page.getByRole('button', { name: 'Delete the segment', exact: true });
  const confirm = dialog.getByRole('button', { name: 'Delete the segment' });
  await ask.click();
  await dialog.getByText('It cannot be brought back').waitFor();
  await editor.expectAccessible();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await dialog.waitFor({ state: 'detached' });
  expect(await segmentOf('two.removed')).not.toBeNull();
  await ask.click();
  // A key that is pressed before the dialog is open would have no effect.
  await dialog.getByText('It cannot be brought back').waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await ask.click();
  await confirm.click();
  await page.getByRole('heading', { level: 1, name: 'Segments' }).waitFor();
  expect(await segmentOf('two.removed')).toBeNull();
  await editor.close();
});

inBrowser('the request of a set shows each of its flags with its difference and whom it concerns', async () => {
  await sample.makeFlag('two.set', {}, [{ type: 'VEHICLE_TARGET', conditions: { regions: ['KR'] }, priority: 20 }]);
  await sample.admin.ok(
    'mutation ($changes: [ChangeInput!]!) { applyChanges(environment: PRODUCTION, changes: $changes) { applied } }',
    {
      changes: [
        { updateFlag: { key: 'two.set', input: { name: 'Renamed in a set' } } },
        { enableFlag: ASIL_D_FLAG.key },
      ],
    },
  );
  const reviewer = await sample.openAs('/changes', SAMPLE_PEOPLE.safety, PHONE);
  const { page } = reviewer;
  const card = page.getByRole('article');
  await card.getByRole('link', { name: ASIL_D_FLAG.name }).first().waitFor();
  await card.getByText('Renamed in a set').waitFor();
  await expect(card.getByRole('heading', { level: 3 }).count()).resolves.toBe(2);
  await expect(card.getByRole('table', { name: 'Vehicles before and after the change' }).count()).resolves.toBe(2);
  await reviewer.expectAccessible();
  await card.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('It is on its way to the fleet.').waitFor();
  expect(await sample.flagOf('two.set')).toMatchObject({ name: 'Renamed in a set' });
  await reviewer.close();
});

inBrowser('what was typed stays when the page is left, and meets what somebody else has changed', async () => {
  const id = await makeFlagWithRule('two.left', { rollout_percentage: 5 });
  const editor = await sample.openAs('/flags/two.left', SAMPLE_PEOPLE.editor);
  const { page } = editor;
  await live(page);
  const open = () => page.getByRole('link', { name: /^Change: / }).click();
  const percentage = page.getByLabel('Percentage');
  const restored = page.getByText('What you typed before is still here.');
  await open();
  await percentage.fill('25');
  await page.goBack();
  await page.getByRole('heading', { name: 'Rules' }).waitFor();
  await sample.admin.ok(UPDATE_RULE, { id, input: { priority: 77 } });
  await page.getByText('priority 77').waitFor();
  await open();
  await restored.waitFor();
  await changedMeanwhile(page);
  expect(await percentage.inputValue()).toBe('25');
  await editor.expectAccessible();
  await page.getByRole('button', { name: 'Apply again' }).click();
  expect(await page.getByLabel('Priority').inputValue()).toBe('77');
  // What is discarded does not come back.
  await page.getByRole('link', { name: 'Discard' }).click();
  await open();
  await percentage.waitFor();
  expect([await percentage.inputValue(), await restored.count()]).toEqual(['5', 0]);
  // Nor does it come back for somebody else, or once it is saved.
  await percentage.fill('30');
  await page.getByRole('navigation', { name: 'Pages', exact: true }).getByRole('link', { name: 'Segments' }).click();
  await page.locator('.menu summary').click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await editor.signIn(ADMIN);
  await editor.heading('Segments');
  await page.goBack();
  await percentage.waitFor();
  expect([await percentage.inputValue(), await restored.count()]).toEqual(['5', 0]);
  await percentage.fill('40');
  await saveRule(page);
  await page.getByRole('link', { name: 'To the flag' }).click();
  await open();
  await percentage.waitFor();
  expect([await percentage.inputValue(), await restored.count()]).toEqual(['40', 0]);
  await editor.close();
});

inBrowser('a plan stays when somebody else begins a rollout of the same rule', async () => {
  const id = await makeFlagWithRule('two.plan', { rollout_percentage: 5 });
  const editor = await sample.openAs(`/flags/two.plan/rollouts/${id}/plan`, SAMPLE_PEOPLE.editor);
  const { page } = editor;
  await live(page);
  const share = page.getByLabel('Share', { exact: false }).first();
  await share.fill('40');
  const schedule = page.getByRole('button', { name: 'Schedule a rollout' });
  const { scheduleRollout } = await sample.admin.ok<{ scheduleRollout: { rollout: { id: string } } }>(
    `mutation ($id: ID!, $at: DateTime!) {
      scheduleRollout(flagKey: "two.plan", ruleId: $id, steps: [{ percentage: 50, at: $at }]) { rollout { id } } }`,
    { id, at: new Date(Date.now() + 30 * 86_400_000).toISOString() },
  );
  await eventually(() => schedule.isDisabled());
  expect(await share.inputValue()).toBe('40');
  await sample.admin.ok('mutation ($id: ID!) { cancelRollout(id: $id) { id } }', {
    id: scheduleRollout.rollout.id,
  });
  await eventually(() => schedule.isEnabled());
  await sample.admin.ok(UPDATE_RULE, { id, input: { conditions: { rollout_percentage: 10 } } });
  await changedMeanwhile(page);
  expect(await schedule.isDisabled()).toBe(true);
  await editor.expectAccessible();
  await page.getByRole('button', { name: 'Apply again' }).click();
  expect([await schedule.isEnabled(), await share.inputValue()]).toEqual([true, '40']);
  await editor.close();
});
