/**
 * Two people at each form, and a session that ends while it is filled in. Nobody loses what they typed, nobody
 * overwrites without having seen it, and no secret is kept.
 */
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Page } from 'playwright-core';
import { eventually } from '../../core/testing/eventually.ts';
import { inBrowser, noBrowser, type ConsolePage } from './browser.ts';
import { CHANGE_FORMS, NEW_FORMS, fieldOf, type ChangeFormCase, type NewFormCase } from './form-cases.ts';
import { SampleConsole } from './sample-console.ts';

const PERSON = { email: 'second.admin@example.com', name: 'Second', password: 'a second administrator' };
const SECRET = 'a secret that is typed';
/** Ends the session of the page, as its expiry does, in the browser. */
const END_SESSION = `fetch('/graphql', {
  method: 'POST',
  headers: {
    'content-type': 'application/json',
    authorization: 'Bearer ' + JSON.parse(sessionStorage.getItem('fleetflag:session')).token,
  },
  body: JSON.stringify({ query: 'mutation { logout }' }),
}).then((answer) => answer.json())`;

let sample: SampleConsole;

beforeAll(async () => {
  if (noBrowser !== null) return;
  sample = await SampleConsole.start();
  await sample.admin.ok('mutation ($input: CreateUserInput!) { createUser(input: $input) { id } }', {
    input: { ...PERSON, role: 'ADMIN' },
  });
}, 180_000);

afterAll(() => sample?.close(), 60_000);

const restored = (page: Page) => page.getByText('What you typed before is still here.');
const live = (page: Page) => page.locator('.connection').getByText('Live', { exact: true }).waitFor();
const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).last();

async function type(page: Page, form: ChangeFormCase | NewFormCase, text: string): Promise<void> {
  await fieldOf(page, form).fill(text);
  if (form.isList === true) await fieldOf(page, form).press('Enter');
}

async function expectTyped(page: Page, form: ChangeFormCase | NewFormCase, text: string): Promise<void> {
  if (form.isList === true) await page.getByRole('button', { name: `Remove: ${text}`, exact: true }).waitFor();
  else expect(await fieldOf(page, form).inputValue()).toBe(text);
}

/** Ends the session below the form, and begins another one of the same person. */
async function signInAgain(page: Page): Promise<void> {
  expect(await page.evaluate(END_SESSION)).toEqual({ data: { logout: true } });
  const dialog = page.getByRole('dialog', { name: 'Sign in again' });
  await dialog.getByLabel('Password').fill(PERSON.password);
  await dialog.getByRole('button', { name: 'Sign in', exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
}

/** Leaves the page by a link, and comes back as the browser's button does. */
async function leaveAndReturn(operator: ConsolePage, form: ChangeFormCase | NewFormCase): Promise<void> {
  const { page } = operator;
  await page.getByRole('navigation', { name: 'Pages', exact: true }).getByRole('link', { name: 'Rollouts' }).click();
  await operator.heading('Rollouts');
  await page.goBack();
  await fieldOf(page, form).waitFor();
}

async function save(page: Page, { preview, save: name }: ChangeFormCase): Promise<void> {
  if (preview !== undefined) await button(page, preview).click();
  await button(page, name).click();
}

/** Waits until both changes are stored, and a form that stays open has been answered. */
async function expectStored(page: Page, path: string, form: ChangeFormCase, round: 0 | 1): Promise<void> {
  const wanted = JSON.stringify([form.texts[round], form.theirs[round]]);
  await eventually(
    async () => JSON.stringify(await form.stored(sample.admin, path)) === wanted,
    `${form.name}: ${wanted}`,
  );
  if (form.stays) await eventually(() => button(page, form.save).isEnabled());
  else await button(page, form.save).waitFor({ state: 'detached' });
}

for (const form of CHANGE_FORMS)
  inBrowser(
    `two people change ${form.name}, and one of them is signed out meanwhile: both changes are kept`,
    async () => {
      const path = await form.begin(sample.admin);
      const operator = await sample.openAs(path, PERSON);
      const { page } = operator;
      const notice = page.getByText(form.notice);
      await fieldOf(page, form).waitFor();
      await live(page);

      // The other change arrives while the form is filled in.
      await type(page, form, form.texts[0]);
      await form.change(sample.admin, path, form.theirs[0]);
      await notice.waitFor();
      await operator.expectAccessible();
      await signInAgain(page);
      await notice.waitFor();
      await expectTyped(page, form, form.texts[0]);
      await leaveAndReturn(operator, form);
      await restored(page).waitFor();
      await notice.waitFor();
      await expectTyped(page, form, form.texts[0]);
      const last = button(page, form.preview ?? form.save);
      if (form.preview === undefined) expect(await last.isDisabled()).toBe(true);
      await page.getByRole('button', { name: 'Apply again' }).click();
      await expectTyped(page, form, form.texts[0]);
      await save(page, form);
      await expectStored(page, path, form, 0);

      // The other change is made at the moment at which this one is sent.
      if (!form.stays) await operator.goTo(path);
      await fieldOf(page, form).waitFor();
      expect([await notice.count(), await restored(page).count()]).toEqual([0, 0]);
      await type(page, form, form.texts[1]);
      let sent = 0;
      await page.route('**/graphql', async (route) => {
        const isChange = route.request().postData()?.includes(`mutation ${form.operation}(`) === true;
        if (isChange && sent++ === 0) await form.change(sample.admin, path, form.theirs[1]);
        await route.continue();
      });
      await save(page, form);
      await notice.waitFor();
      await expectTyped(page, form, form.texts[1]);
      await page.getByRole('button', { name: 'Apply again' }).click();
      await save(page, form);
      await expectStored(page, path, form, 1);
      expect(sent).toBe(2);
      await page.unrouteAll({ behavior: 'wait' });
      await operator.close();
    },
  );

for (const form of NEW_FORMS)
  inBrowser(`the form of ${form.name} keeps what was typed when it is left and when its session ends`, async () => {
    const operator = await sample.openAs(await form.begin(sample.admin), PERSON);
    const { page } = operator;
    await fieldOf(page, form).waitFor();
    await live(page);
    await type(page, form, form.text);
    for (const label of form.secrets ?? []) await page.getByLabel(label, { exact: true }).fill(SECRET);
    await signInAgain(page);
    await expectTyped(page, form, form.text);
    await leaveAndReturn(operator, form);
    await restored(page).waitFor();
    await expectTyped(page, form, form.text);
    for (const label of form.secrets ?? []) expect(await page.getByLabel(label, { exact: true }).inputValue()).toBe('');
    // A form in which nothing is typed any longer is not kept.
    await type(page, form, '');
    await leaveAndReturn(operator, form);
    expect(await restored(page).count()).toBe(0);
    await operator.close();
  });
