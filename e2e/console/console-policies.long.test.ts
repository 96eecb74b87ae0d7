/**
 * Release policies in a real browser: one is set, a looser one waits for a second person, and who may do neither sees
 * why.
 */
import { afterAll, beforeAll, expect } from '@jest/globals';
import { ADMIN } from '../harness/deployment.ts';
import { PHONE, inBrowser, noBrowser } from './browser.ts';
import { SampleConsole } from './sample-console.ts';
import { SAMPLE_PEOPLE } from './sample-fleet.ts';

let sample: SampleConsole;

beforeAll(async () => {
  if (noBrowser === null) sample = await SampleConsole.start();
}, 180_000);
afterAll(() => sample?.close(), 60_000);

const policyNow = async () =>
  (
    await sample.admin.ok<{ releasePolicy: object }>(
      `{ releasePolicy(environment: PRODUCTION) {
        stages { percentage soak minimumVehicles } canary { vins models regions } safetyLevels maximumFaultyVehicles proposal { id }
      } }`,
    )
  ).releasePolicy;

inBrowser(
  'a policy is set, and a looser one waits for a second person, who sees in which ways it is looser',
  async () => {
    const operator = await sample.openAs('/policies', ADMIN);
    const { page } = operator;
    await operator.heading('Release policies');
    await page.getByRole('region', { name: 'Production' }).getByText('No stages').waitFor();
    await operator.expectAccessible();
    await page.getByRole('link', { name: 'Change the policy: Production' }).click();
    await operator.heading('Release policy: Production');
    const add = () => page.getByRole('button', { name: 'Add a stage' }).click();
    const stage = (position: number) => page.getByRole('group', { name: `Stage ${position}` });
    const set = () => page.getByRole('button', { name: 'Set the policy' }).click();
    await add();
    await add();
    await stage(1).getByLabel('Percentage').fill('one');
    await set();
    await stage(1).getByText('Give a number from 0 to 100.').waitFor();
    await stage(1).getByLabel('Percentage').fill('1');
    await stage(1).getByLabel('Watched for').fill('12');
    await stage(1).getByLabel('Unit').selectOption({ label: 'hours' });
    await stage(1).getByLabel('Vehicles that must report').fill('5');
    await stage(2).getByLabel('Percentage').fill('90');
    await set();
    // By the path of the control plane's fault.
    await stage(2).getByText('The last stage must be at 100 percent.').waitFor();
    expect(await stage(2).getByLabel('Percentage').getAttribute('aria-invalid')).toBe('true');
    await operator.expectAccessible();
    await stage(2).getByLabel('Percentage').fill('100');
    await page.getByRole('combobox', { name: 'Canary group: models' }).fill('EV9');
    await set();
    await page.getByText('The policy is set.').waitFor();
    expect(await policyNow()).toEqual({
      stages: [
        { percentage: 1, soak: 'PT12H', minimumVehicles: 5 },
        { percentage: 100, soak: 'P1D', minimumVehicles: 0 },
      ],
      canary: { vins: [], models: ['EV9'], regions: [] },
      safetyLevels: ['NON_CRITICAL', 'SAFETY_RELEVANT', 'ASIL_B', 'ASIL_D'],
      maximumFaultyVehicles: 3,
      proposal: null,
    });
    await page.getByRole('link', { name: 'All policies' }).click();
    const stages = page.getByRole('table', { name: 'Release policy: Production' });
    await stages.getByRole('row', { name: /^1 1% 12 hours 5 vehicles/ }).waitFor();

    await page.getByRole('link', { name: 'Change the policy: Production' }).click();
    await page.getByRole('button', { name: 'Remove stage 1' }).click();
    await set();
    await page.getByText('it waits until a second person approves it').waitFor();
    await page.getByRole('link', { name: 'All policies' }).click();
    const production = page.getByRole('region', { name: 'Production' });
    await production.getByText('You have proposed this.').waitFor();
    const navigation = page.getByRole('navigation');
    await navigation.getByRole('link', { name: /^Release policies.*1/ }).waitFor();
    expect(await production.getByRole('button', { name: 'Approve' }).count()).toBe(0);
    await operator.expectAccessible();

    const reviewer = await sample.openAs('/policies', SAMPLE_PEOPLE.safety, PHONE);
    await reviewer.page.getByText('A looser policy waits for a second person').waitFor();
    await reviewer.page.getByText('after fewer vehicles have reported it').waitFor();
    await reviewer.page
      .getByRole('table', { name: 'What the looser policy changes' })
      .getByRole('row', { name: /^Stages/ })
      .waitFor();
    await reviewer.expectAccessible();
    // A rejection needs a comment, and its field gets the focus.
    await reviewer.page.getByRole('button', { name: 'Reject' }).click();
    await reviewer.page.locator('textarea:focus').and(reviewer.page.getByLabel('Comment')).waitFor();
    await reviewer.page.getByText('Say why it is rejected.').waitFor();
    await reviewer.page.getByRole('button', { name: 'Approve' }).click();
    await reviewer.page.getByText('A looser policy waits for a second person').waitFor({ state: 'detached' });
    // The page of the person who proposed it follows.
    await production.getByText('You have proposed this.').waitFor({ state: 'detached' });
    expect(await policyNow()).toMatchObject({ stages: [{ percentage: 100 }], proposal: null });
    await reviewer.close();
    await operator.close();
  },
);

inBrowser('a policy that somebody else has set meanwhile is shown in the form, and what was typed stays', async () => {
  const operator = await sample.openAs('/policies/staging', ADMIN);
  const { page } = operator;
  const set = 'mutation ($input: ReleasePolicyInput!) { setReleasePolicy(input: $input) { updatedAt } }';
  const stages = [{ percentage: 100, soak: 'P1D' }];
  await page.getByLabel('Faulty vehicles allowed').fill('7');
  await sample.admin.ok(set, { input: { environment: 'STAGING', stages } });
  await page.getByText('The policy has changed meanwhile.').waitFor();
  await operator.expectAccessible();
  await page.getByRole('button', { name: 'Apply again' }).click();
  await page.getByRole('group', { name: 'Stage 1' }).waitFor();
  expect(await page.getByLabel('Faulty vehicles allowed').inputValue()).toBe('7');
  await operator.close();
});

inBrowser('an editor sees the policies, and why only administrators set them', async () => {
  const operator = await sample.openAs('/policies', SAMPLE_PEOPLE.editor);
  const { page } = operator;
  await page.getByRole('button', { name: 'Change the policy: Production' }).click({ force: true });
  await page.getByText('Your role may not set release policies.').waitFor();
  await operator.goTo('/policies/production');
  await page.getByText('Your role may not set release policies.').waitFor();
  await operator.goTo('/policies/nowhere');
  await page.getByText('There is no such environment.').waitFor();
  await operator.close();
});
