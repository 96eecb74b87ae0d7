/** The console with more flags than fit on a page: pages, the way back to them, suggestions, and a phone's width. */
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Page } from 'playwright-core';
import { eventually } from '../../core/testing/eventually.ts';
import { ADMIN } from '../harness/deployment.ts';
import { PHONE, inBrowser, noBrowser } from './browser.ts';
import { SampleConsole } from './sample-console.ts';
import { SAMPLE_PEOPLE } from './sample-fleet.ts';

/** More than two pages of 25. */
const FLAGS = 60;

let sample: SampleConsole;

beforeAll(async () => {
  if (noBrowser !== null) return;
  sample = await SampleConsole.start();
  for (let number = 1; number <= FLAGS; number += 1)
    await sample.makeFlag(`long.flag_${String(number).padStart(2, '0')}`, { name: `Long list, number ${number}` });
}, 180_000);

afterAll(() => sample?.close(), 60_000);

const scrolled = (page: Page) => page.evaluate<number>('Math.round(scrollY)');
/** Gives, in the browser, the texts that stand below the label of their cell instead of beside it. */
const BELOW_LABELS = `[...document.querySelectorAll('td[data-label]')].flatMap((cell) => {
  const beside = cell.getBoundingClientRect().left + parseFloat(getComputedStyle(cell).paddingInlineStart) - 1;
  return [...cell.children].filter((part) => part.getBoundingClientRect().left < beside).map((part) => part.textContent);
})`;

inBrowser('the way back from a flag leads to the same page of the list, at the same place', async () => {
  const editor = await sample.openAs('/flags?order=key', SAMPLE_PEOPLE.editor, {
    viewport: { width: 1280, height: 600 },
  });
  const { page } = editor;
  const pager = page.getByRole('navigation', { name: 'Pages of the list of flags' });
  await pager.getByText('1 to 25 of ').waitFor();
  await pager.getByRole('button', { name: 'Next' }).click();
  await pager.getByText('26 to 50 of ').waitFor();
  // A page begins at its first row.
  const { y: first = -1 } = (await page.locator('.table-flags tbody tr').first().boundingBox()) ?? {};
  expect([first > 0, first < 600]).toEqual([true, true]);
  const last = page.locator('.table-flags tbody a').last();
  const key = await last.locator('.flag-key').innerText();
  await last.scrollIntoViewIfNeeded();
  const place = await scrolled(page);
  expect(place).toBeGreaterThan(300);
  await last.click();
  await page.getByRole('heading', { name: 'Rules' }).waitFor();
  await page.goBack();
  await pager.getByText('26 to 50 of ').waitFor();
  await page.getByText(key, { exact: true }).waitFor();
  await eventually(async () => (await scrolled(page)) === place);
  // At the end the button keeps the keyboard's focus, and says that there is no more.
  await pager.getByRole('button', { name: 'Next' }).press('Enter');
  await pager.getByText(/^51 to /).waitFor();
  expect(await pager.getByRole('button', { name: 'Next' }).getAttribute('aria-disabled')).toBe('true');
  await editor.expectAccessible();
  await editor.close();
});

inBrowser(
  'a search and a filter that are chosen in quick succession both hold, and a link takes both away',
  async () => {
    const admin = await sample.openAs('/flags', ADMIN);
    const { page } = admin;
    const field = page.getByRole('searchbox').first();
    const lists = [
      { path: '/flags', link: 'Flags', filter: 'Environment', text: 'number 4', chosen: 'environment=' },
      { path: '/fleet', link: 'Fleet', filter: 'Region', text: 'KMH', chosen: 'region=' },
      { path: '/accounts', link: 'Accounts', filter: 'Role', text: 'park', chosen: 'role=' },
      { path: '/audit', link: 'Audit log', filter: 'Change', text: 'long', chosen: 'action=' },
    ];
    for (const { path, link, filter, text, chosen } of lists) {
      const room = page.getByRole('navigation', { name: 'Pages', exact: true }).getByRole('link', { name: link });
      await room.click();
      // The options of the fleet's filters come with its answer.
      await page.getByLabel(filter, { exact: true }).locator('option').nth(1).waitFor({ state: 'attached' });
      await field.fill(text);
      await page.getByLabel(filter, { exact: true }).selectOption({ index: 1 });
      await page.waitForURL((url) => url.searchParams.get('search') === text || url.searchParams.get('flag') === text);
      expect(page.url()).toContain(chosen);
      await room.click();
      await page.waitForURL((url) => url.pathname.endsWith(path) && url.search === '');
      await eventually(async () => (await field.inputValue()) === '');
    }
    await admin.close();
  },
);

inBrowser('fields for flags and segments suggest what is found by words of its name', async () => {
  await sample.admin.ok(
    'mutation { saveSegment(key: "long.fleet", name: "Test cars", conditions: { regions: ["KR"] }) { applied } }',
  );
  const editor = await sample.openAs('/flags/drive_mode/edit', SAMPLE_PEOPLE.editor);
  const { page } = editor;
  await page.getByLabel('Requires', { exact: true }).first().waitFor();
  const suggested = (value: string) => page.locator(`datalist option[value="${value}"]`).first();
  await page.getByLabel('Requires', { exact: true }).first().fill('number 42');
  await suggested('long.flag_42').waitFor({ state: 'attached' });
  expect(await suggested('long.flag_42').getAttribute('label')).toBe('Long list, number 42');
  await editor.goTo('/flags/drive_mode/new-rule');
  await suggested('long.fleet').waitFor({ state: 'attached' });
  await editor.goTo('/experiments/new');
  await page.getByLabel('Key of the flag').fill('long.flag_17');
  await suggested('long.flag_17').waitFor({ state: 'attached' });
  await editor.close();
});

inBrowser(
  'on a phone the room is in view, the kill switch stays at the top, and cells stand beside labels',
  async () => {
    const admin = await sample.openAs('/segments', ADMIN, PHONE);
    const { page } = admin;
    await admin.heading('Segments');
    for (const room of ['webhooks', 'flags', 'health']) {
      await admin.goTo(`/${room}`);
      const current = page.locator('.side a[aria-current]');
      await eventually(async () => {
        const { x = -1, width = 0 } = (await current.boundingBox()) ?? {};
        // The end of the line may stand a part of a pixel beyond.
        return x >= 0 && x + width < 361;
      });
    }
    const { y = -1 } = (await page.locator('.button-kill').boundingBox()) ?? {};
    expect(y).toBeLessThan(20);
    // What is chosen in the menu does not stay below it.
    await page.locator('.menu summary').click();
    await page.getByRole('link', { name: 'Change your password' }).click();
    await admin.heading('Change your password');
    expect(await page.locator('.menu').getAttribute('open')).toBeNull();
    await admin.goTo('/flags/adas.lane_keep_v2/new-rule');
    await page.getByLabel('Percentage').fill('60');
    await page.getByRole('button', { name: 'Check and preview' }).click();
    await page.getByRole('table', { name: 'Vehicles before and after the change' }).getByText('EV9').first().waitFor();
    expect(await page.evaluate(BELOW_LABELS)).toEqual([]);
    await admin.expectAccessible();
    await admin.close();
  },
);
