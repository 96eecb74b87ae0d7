import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { chromium, type Browser, type Page } from 'playwright-core';
import { Api } from './harness/api.ts';
import { ADMIN, Deployment } from './harness/deployment.ts';
import { testUnless } from '../core/testing/unless.ts';

/** Debian's package; `npm test` needs nothing but npm packages, so without a browser this file is left to `.ci/run`. */
const executablePath = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';
const inBrowser = testUnless(existsSync(executablePath) ? null : `there is no ${executablePath} (Debian: chromium)`);

/** Editors of nine megabytes take their time on a loaded machine. */
const TIMEOUT_MS = 180_000;
const PHONE = { width: 360, height: 740 };

let deployment: Deployment;
let browser: Browser | undefined;
let admin: Api;

beforeAll(async () => {
  if (!existsSync(executablePath)) return;
  deployment = await Deployment.start();
  admin = await Api.admin(deployment);
  browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}, 120_000);

afterAll(async () => {
  await browser?.close();
  if (browser !== undefined) await deployment.remove();
}, 60_000);

/** A page of a new browser profile, and what went wrong in it: exceptions, and what the policy refused. */
async function open(path = '/', viewport = { width: 1280, height: 800 }): Promise<{ page: Page; faults: string[] }> {
  if (browser === undefined) throw new Error('not started');
  const page = await (await browser.newContext({ viewport })).newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && /Content.Security.Policy|Refused to/i.test(message.text()))
      faults.push(message.text());
  });
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (/^http/.test(protocol) && host !== new URL(deployment.url).host) faults.push(`asked ${host}`);
  });
  await page.goto(`${deployment.url}${path}`);
  await page.locator('.graphiql-execute-button').waitFor();
  return { page, faults };
}

async function signIn(page: Page): Promise<void> {
  await page.getByLabel('E-mail').fill(ADMIN.email);
  await page.getByLabel('Password').fill(ADMIN.password);
  await page.getByLabel('Password').press('Enter');
  await page.getByText(`${ADMIN.email} · ADMIN`).waitFor();
}

/** The result that is shown. The editor writes blanks that do not break, and draws only the lines that fit. */
const shown = async (page: Page) =>
  ((await page.locator('.result-window').textContent()) ?? '').replaceAll('\u00a0', ' ');
const waitFor = (page: Page, text: RegExp) => page.locator('.result-window').getByText(text).first().waitFor();

const createFlag = (key: string) =>
  admin.ok(
    `mutation { createFlag(input: {key: "${key}", name: "Seen", type: BOOLEAN, defaultValue: false, safetyLevel: NON_CRITICAL, environment: PRODUCTION}) { applied } }`,
  );

describe('In a browser, the playground', () => {
  inBrowser(
    'keeps the events of a stream, newest first, and says how many there were',
    async () => {
      const query =
        'subscription { flagChanges(environment: PRODUCTION) { revision flag { key createdBy { name } } } }';
      const { page, faults } = await open(`/?query=${encodeURIComponent(query)}`);
      await page.getByLabel('E-mail').fill(ADMIN.email);
      await page.getByLabel('Password').fill('not the password');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByText('The e-mail or the password is wrong').waitFor();
      await signIn(page);

      await page.locator('.graphiql-execute-button').click();
      await waitFor(page, /"open"/);
      await createFlag('seen_first');
      await waitFor(page, /seen_first/);
      await createFlag('seen_second');
      await waitFor(page, /seen_second/);
      const text = await shown(page);
      expect(text).toContain('"received": 2');
      expect(text).toContain('System Admin');
      expect(text.indexOf('seen_second')).toBeLessThan(text.indexOf('seen_first'));
      await page.locator('.graphiql-execute-button').click();
      expect(faults).toEqual([]);
      await page.context().close();
    },
    TIMEOUT_MS,
  );

  inBrowser(
    'says what is wrong with a text that is not GraphQL, with the code of the API',
    async () => {
      const { page, faults } = await open(`/?query=${encodeURIComponent('{ flags { nodes { key }')}`);
      await signIn(page);
      await page.locator('.graphiql-execute-button').click();
      await waitFor(page, /BAD_USER_INPUT/);
      const text = await shown(page);
      expect(text).toContain('Syntax Error');
      expect(text).not.toMatch(/stack|\.js:/);
      expect(faults).toEqual([]);
      await page.context().close();
    },
    TIMEOUT_MS,
  );

  inBrowser(
    'runs what was written an instant before',
    async () => {
      const { page, faults } = await open();
      await signIn(page);
      // The operation before has another name, and GraphiQL knows that one still.
      await page.evaluate(`
        self.monaco.editor.getModels().find(({ uri }) => uri.path.endsWith('operation.graphql')).setValue('query Another { me { kind } }');
        document.querySelector('.graphiql-execute-button').click();
      `);
      await waitFor(page, /"kind"/);
      expect(await shown(page)).toContain('"kind": "USER"');
      expect(faults).toEqual([]);
      await page.context().close();
    },
    TIMEOUT_MS,
  );

  inBrowser(
    'opens a task with its variables, by keyboard alone',
    async () => {
      await createFlag('task_lane');
      const { page, faults } = await open();
      await signIn(page);
      await page.getByRole('button', { name: 'Tasks' }).focus();
      await page.keyboard.press('Enter');
      await page.getByRole('navigation', { name: 'Tasks' }).waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('navigation', { name: 'Tasks' }).waitFor({ state: 'hidden' });
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: /^Kill a flag/ }).focus();
      await page.keyboard.press('Enter');
      await page.locator('.graphiql-query-editor').getByText('KillFlag').first().waitFor();
      // The cursor is in the first variable; the second is in the next line.
      await page.keyboard.insertText('task_lane');
      for (const key of ['ArrowDown', 'End', 'ArrowLeft']) await page.keyboard.press(key);
      await page.keyboard.insertText('By keyboard');
      await page.keyboard.press('ControlOrMeta+Enter');
      await waitFor(page, /"killed"/);
      expect(await shown(page)).toContain('"killed": true');
      expect(await admin.ok('{ flag(key: "task_lane") { killed } }')).toEqual({ flag: { killed: true } });
      expect(faults).toEqual([]);
      await page.context().close();
    },
    TIMEOUT_MS,
  );

  inBrowser(
    'can be used on a phone: nothing is cut off, and text is large enough to read',
    async () => {
      const { page, faults } = await open('/', PHONE);
      await signIn(page);
      expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(PHONE.width);
      for (const name of ['.graphiql-query-editor', '.result-window', '#bar', '.graphiql-execute-button']) {
        const box = await page.locator(name).first().boundingBox();
        if (box === null) throw new Error(`${name} is not shown`);
        expect([name, box.x >= 0, box.x + box.width <= PHONE.width]).toEqual([name, true, true]);
        if (name !== '#bar' && !name.endsWith('button'))
          expect([name, box.width > 240, box.height > 120]).toEqual([name, true, true]);
      }
      const size = await page.evaluate<number>(
        "parseFloat(getComputedStyle(document.querySelector('.graphiql-query-editor .view-line')).fontSize)",
      );
      expect(size).toBeGreaterThanOrEqual(12);
      await page.getByRole('button', { name: 'Tasks' }).click();
      const menu = await page.getByRole('navigation', { name: 'Tasks' }).boundingBox();
      expect((menu?.x ?? -1) >= 0 && (menu?.x ?? 0) + (menu?.width ?? 0) <= PHONE.width).toBe(true);
      await page.getByRole('button', { name: /^Ask what I may do/ }).click();
      await page.locator('.graphiql-query-editor').getByText('WhoAmI').first().waitFor();
      await page.locator('.graphiql-execute-button').click();
      await waitFor(page, /"ADMIN"/);
      expect(faults).toEqual([]);
      await page.context().close();
    },
    TIMEOUT_MS,
  );

  inBrowser(
    'shows a session that was ended elsewhere as ended, and keeps what was typed',
    async () => {
      const { page } = await open();
      await signIn(page);
      const token = await page.evaluate<string>("JSON.parse(sessionStorage.getItem('fleetflag:session')).token");
      await fetch(`${deployment.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: JSON.stringify({ query: 'mutation { logout }' }),
      });
      await page.locator('.graphiql-execute-button').click();
      await page.getByText('Your session has ended').waitFor();
      expect(await page.locator('.graphiql-query-editor').textContent()).toContain('Flags');
      await page.context().close();
    },
    TIMEOUT_MS,
  );
});
