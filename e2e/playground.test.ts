import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { chromium, type Browser } from 'playwright-core';
import { Api } from './harness/api.ts';
import { ADMIN, Deployment } from './harness/deployment.ts';
import { testUnless } from '../core/testing/unless.ts';

/** Debian's package; `npm test` needs nothing but npm packages, so without a browser this file is left to `.ci/run`. */
const executablePath = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';
const inBrowser = testUnless(existsSync(executablePath) ? null : `there is no ${executablePath} (Debian: chromium)`);

let deployment: Deployment | undefined;
let browser: Browser | undefined;

beforeAll(async () => {
  if (!existsSync(executablePath)) return;
  deployment = await Deployment.start();
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
  await deployment?.remove();
}, 60_000);

inBrowser(
  'an operator signs in, watches the stream and sees a change arrive, with no request to another host',
  async () => {
    if (deployment === undefined || browser === undefined) throw new Error('not started');
    const admin = await Api.admin(deployment);
    const page = await browser.newPage();
    const hosts = new Set<string>();
    page.on('request', (request) => hosts.add(new URL(request.url()).host));
    page.on('websocket', (socket) => hosts.add(new URL(socket.url()).host));
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));

    const query = 'subscription { flagChanges(environment: PRODUCTION) { revision flag { key createdBy { name } } } }';
    await page.goto(`${deployment.url}/?query=${encodeURIComponent(query)}`);
    await page.getByLabel('E-mail').fill(ADMIN.email);
    await page.getByLabel('Password').fill('not the password');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('The e-mail or the password is wrong').waitFor();
    await page.getByLabel('Password').fill(ADMIN.password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText(`${ADMIN.email} · ADMIN`).waitFor();

    const established = page
      .waitForEvent('websocket')
      .then((socket) =>
        socket.waitForEvent('framesent', { predicate: ({ payload }) => String(payload).includes('"subscribe"') }),
      );
    await page.locator('.graphiql-execute-button').click();
    await established;
    // The stream begins some instants after the frame has left the browser: changes go on until one is seen.
    const result = page.locator('.result-window');
    let count = 0;
    for (let seen = false; !seen && count < 100; count += 1) {
      await admin.ok(
        `mutation { createFlag(input: {key: "seen_${count}", name: "Seen", type: BOOLEAN, defaultValue: false, safetyLevel: NON_CRITICAL, environment: PRODUCTION}) { applied } }`,
      );
      seen = await result
        .getByText(/seen_\d+/)
        .first()
        .waitFor({ timeout: 1_000 })
        .then(
          () => true,
          () => false,
        );
    }
    // The editor writes blanks that do not break.
    expect((await result.textContent())?.replaceAll('\u00a0', ' ')).toContain('System Admin');
    expect(errors).toEqual([]);
    expect([...hosts].filter((host) => host !== '')).toEqual([new URL(deployment.url).host]);
  },
);

inBrowser('the page may load and ask nothing but its own host', async () => {
  const response = await fetch(deployment?.url ?? '');
  const policy = response.headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toMatch(/https?:|\*/);
});
