/** The console's form of a value contract, in a real browser: faults at their place, display, and versions. */
import { afterAll, beforeAll, expect } from '@jest/globals';
import { inBrowser, noBrowser } from './browser.ts';
import { SampleConsole } from './sample-console.ts';
import { SAMPLE_PEOPLE } from './sample-fleet.ts';

let sample: SampleConsole;

beforeAll(async () => {
  if (noBrowser === null) sample = await SampleConsole.start();
}, 180_000);
afterAll(() => sample?.close(), 60_000);

inBrowser('a value contract is given to a flag, with its faults at their place, shown, and taken away', async () => {
  const operator = await sample.openAs('/flags', SAMPLE_PEOPLE.editor);
  const { page } = operator;
  await page.getByRole('link', { name: 'New flag' }).click();
  await operator.heading('New flag');
  const contract = page.getByLabel('Value contract', { exact: true });
  const wrong = (label: string) =>
    page.locator('.field', { has: page.getByLabel(label, { exact: true }) }).locator('.field-wrong');
  const create = () => page.getByRole('button', { name: 'Create the flag' }).click();
  await page.getByLabel('Key', { exact: true }).fill('forms.contract');
  await page.getByLabel('Name', { exact: true }).fill('Speed warning');
  await page.getByLabel('Type').selectOption({ label: 'JSON' });
  await page.getByLabel('Default value', { exact: true }).fill('{ "limit": 1300 }');
  await contract.fill('{ properties: }');
  await create();
  await wrong('Value contract')
    .getByText(/^This is not valid JSON/)
    .waitFor();
  await contract.fill('{ "properties": { "limit": { "pattern": "x" } } }');
  await create();
  await wrong('Value contract')
    .getByText(/^properties\.limit\.pattern: /)
    .waitFor();
  expect(await contract.getAttribute('aria-invalid')).toBe('true');
  await operator.expectAccessible();
  await contract.fill('{ "type": "object", "properties": { "limit": { "type": "number", "maximum": 180 } } }');
  await create();
  await wrong('Default value')
    .getByText(/^limit: /)
    .waitFor();
  await page.getByLabel('Default value', { exact: true }).fill('{ "limit": 130 }');
  await create();
  await page.getByText('The flag exists now').waitFor();
  await page.getByRole('link', { name: 'To the flag' }).click();
  await page.locator('pre[aria-label="Value contract"]').getByText('"maximum": 180').waitFor();
  await operator.expectAccessible();

  await page.getByRole('link', { name: 'Change', exact: true }).click();
  await contract.fill('');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved. The change is on its way to the fleet.').waitFor();
  expect(await sample.flagOf('forms.contract')).toMatchObject({ defaultValue: { limit: 130 } });
  await operator.goTo('/flags/forms.contract/versions');
  // The version before had the contract that the present one lacks, and nothing else differs.
  const difference = page.getByRole('table', { name: 'What restoring changes' });
  await difference
    .getByRole('row', { name: /^Value contract/ })
    .getByText('"maximum":180')
    .waitFor();
  expect(await difference.getByRole('row').count()).toBe(2);
  await operator.close();
});
