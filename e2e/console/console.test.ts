import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { Api } from '../harness/api.ts';
import { ADMIN, Deployment } from '../harness/deployment.ts';
import { Fleet } from '../harness/fleet.ts';
import { eventually } from '../harness/process.ts';
import { ConsolePage, inBrowser, launchBrowser, noBrowser } from './browser.ts';
import { SAMPLE_PEOPLE, makeSampleFleet, sampleVin } from './sample-fleet.ts';

const VIN = sampleVin(1);

let deployment: Deployment;
let browser: Browser;
let admin: Api;
let fleet: Fleet;

beforeAll(async () => {
  if (noBrowser !== null) return;
  // In production: the playground is off there, and the console is not.
  deployment = await Deployment.start({ NODE_ENV: 'production' });
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

const valueOf = (key: string) => fleet.agents.get(VIN)?.evaluate(key)?.evaluation.value;

inBrowser('an operator finds a feature, stops it with a reason, and sees the stop reach the fleet', async () => {
  await eventually(() => valueOf('adas.lane_keep_v2') === true, 'the vehicle has the feature');
  const operator = await ConsolePage.open(browser, deployment);
  const { page } = operator;
  await operator.goTo('/');
  await operator.signIn({ ...ADMIN, password: 'not the password' });
  await page.getByText('The e-mail or the password is wrong').waitFor();
  await operator.signIn(ADMIN);
  await operator.heading('Flags');
  await page.getByText('6 flags').waitFor();
  await page.getByLabel('Find by key or words').fill('lane');
  await page.getByText('1 flag', { exact: true }).waitFor();
  await page.getByRole('link', { name: /Lane keeping/ }).click();
  await operator.heading('Lane keeping, second generation');
  await page.getByText('12.5% of the vehicles with model Ioniq 6 or EV9').waitFor();
  await page.getByText('1 of 1 vehicles have it (100%).').waitFor();

  await page.getByRole('link', { name: 'Kill switch', exact: true }).click();
  await page.getByText('1 vehicle of Production has connected so far').waitFor();
  await page.getByRole('table', { name: 'Who has what now' }).getByText('enabled').waitFor();
  await page.getByRole('button', { name: 'Pull the kill switch now' }).click();
  await page.getByText('Say why: the audit log needs a reason.').waitFor();
  await page.getByLabel('Reason').fill('Unintended steering, INC-4711');
  await page.getByLabel('Type the flag’s key').fill('adas.lane_keep');
  await page.getByRole('button', { name: 'Pull the kill switch now' }).click();
  await page.getByText('This is not the key of the flag.').waitFor();
  expect(valueOf('adas.lane_keep_v2')).toBe(true);
  await page.getByLabel('Type the flag’s key').fill('adas.lane_keep_v2');
  await page.getByRole('button', { name: 'Pull the kill switch now' }).click();
  await operator.heading('The kill switch is pulled.');
  await page.getByText('The only vehicle has it.').waitFor();
  await page.getByText('until the last vehicle').waitFor();
  expect(valueOf('adas.lane_keep_v2')).toBe(false);

  await page.getByRole('link', { name: 'To the flag' }).click();
  await page.getByText('All vehicles get the default value false').waitFor();
  await page.getByText('“Unintended steering, INC-4711”').waitFor();
  await operator.expectAccessible();
  await operator.close();
});
