/** The pages of examples/dashboard in a browser, from another origin, as those who copy them run them. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { testUnless } from '../core/testing/unless.ts';
import { boundAddress } from '../core/wire/network/http-server.ts';
import { launchBrowser, noBrowser } from './console/browser.ts';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { ROOT } from './harness/process.ts';

const EXAMPLE = join(ROOT, 'examples/dashboard');
const EDITOR = { email: 'editor@example.com', password: 'an editor of the example', role: 'WRITE' };
const REVIEWER = { email: 'reviewer@example.com', password: 'a reviewer of the example', role: 'SAFETY' };

/** The clients, each with flags of its own: one of ASIL-D, and one of the first page of the list. */
const CLIENTS = [
  { client: 'urql', brake: 'Brake A', lamp: 'Lamp 01' },
  { client: 'apollo', brake: 'Brake B', lamp: 'Lamp 02' },
];
const LAMPS = Array.from({ length: 12 }, (_, index) => `Lamp ${String(index + 1).padStart(2, '0')}`);
const LAST_LAMP = LAMPS.at(-1) ?? '';

const keyOf = (name: string) => name.toLowerCase().replace(' ', '_');

let folder: string;
let server: Server;
let origin: string;
let deployment: Deployment;
let admin: Api;
let browser: Browser;

/** Serves the folder of the example, with the control plane's address in its pages and the scripts that were built. */
async function fileOf(path: string): Promise<{ type: string; text: string }> {
  if (path.endsWith('.js'))
    return { type: 'text/javascript', text: await readFile(join(folder, path.replace('/dist/', '')), 'utf8') };
  const page = await readFile(join(EXAMPLE, path), 'utf8');
  return { type: 'text/html', text: page.replace('http://localhost:4000', deployment.url) };
}

beforeAll(async () => {
  if (noBrowser !== null) return;
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-example-'));
  await promisify(execFile)('npm', ['run', '-s', 'build', '--', `--outdir=${folder}`], { cwd: EXAMPLE });
  server = createServer((request, response) => {
    fileOf(request.url ?? '').then(
      ({ type, text }) => response.setHeader('content-type', type).end(text),
      () => response.writeHead(404).end(),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${boundAddress(server).port}`;
  deployment = await Deployment.start({ FLEETFLAG_ALLOWED_ORIGINS: origin });
  admin = await Api.admin(deployment);
  for (const { email, password, role } of [EDITOR, REVIEWER])
    await admin.ok('mutation ($input: CreateUserInput!) { createUser(input: $input) { id } }', {
      input: { email, password, role, name: email },
    });
  const reviewer = await Api.signedIn(deployment, REVIEWER);
  for (const name of LAMPS) await createFlag(name, 'NON_CRITICAL');
  for (const { brake } of CLIENTS)
    await reviewer.ok('mutation ($id: ID!) { approveChangeRequest(id: $id) { id } }', {
      id: await createFlag(brake, 'ASIL_D'),
    });
  browser = await launchBrowser();
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await deployment?.remove();
  server?.close();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}, 60_000);

/** Creates a flag; gives the id of its change request, if it waits for one. */
async function createFlag(name: string, safetyLevel: string): Promise<string | undefined> {
  const { createFlag: created } = await admin.ok<{ createFlag: { changeRequest: { id: string } | null } }>(
    'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { changeRequest { id } } }',
    {
      input: {
        key: keyOf(name),
        name,
        type: 'BOOLEAN',
        defaultValue: false,
        enabled: false,
        environment: 'PRODUCTION',
        safetyLevel,
      },
    },
  );
  return created.changeRequest?.id;
}

const rename = (from: string, name: string) =>
  admin.ok('mutation ($key: String!, $name: String!) { updateFlag(key: $key, input: { name: $name }) { applied } }', {
    key: keyOf(from),
    name,
  });

const faults: string[] = [];

/** Opens the page in a window of its own, whose faults of scripts fail the test. */
async function open(client: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  page.on('pageerror', ({ message }) => faults.push(message));
  page.on('console', (message) => {
    // What the browser says of refused requests is no fault of the page.
    if (message.type() === 'error' && !message.text().includes('Failed to load resource')) faults.push(message.text());
  });
  await page.goto(`${origin}/${client}.html`);
  return page;
}

async function signIn(page: Page, { email, password }: { readonly email: string; readonly password: string }) {
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

const rowOf = (page: Page, name: string) => page.getByRole('row').filter({ hasText: name });
const expectState = (page: Page, name: string, state: string) =>
  rowOf(page, name).getByRole('cell', { name: state, exact: true }).waitFor();

/** Sends the page's next switching of a flag only after `before`, as a slow network would. */
async function holdSwitch(page: Page, before: () => Promise<unknown>): Promise<void> {
  let isHeld = false;
  await page.route(`${deployment.url}/graphql`, async (route) => {
    if (!isHeld && route.request().postData()?.includes('"operationName":"Disable"') === true) {
      isHeld = true;
      await before();
    }
    await route.continue();
  });
}

for (const { client, brake, lamp } of CLIENTS)
  testUnless(noBrowser)(
    `the page with ${client} reads the list by pages, shows what happens, and handles a conflict and a change for two people`,
    async () => {
      const page = await open(client);
      await signIn(page, { ...EDITOR, password: 'not the password' });
      await page.getByText('The e-mail or the password is wrong.').waitFor();
      await signIn(page, EDITOR);

      await page.getByText('10 of 14').waitFor();
      expect(await rowOf(page, LAST_LAMP).count()).toBe(0);
      await page.getByRole('button', { name: 'More' }).click();
      await page.getByText('14 of 14').waitFor();
      expect(await page.getByRole('row').count()).toBe(14);
      await page.getByRole('button', { name: 'More' }).waitFor({ state: 'detached' });

      // Somebody else's change arrives by itself.
      await rename(LAST_LAMP, `${LAST_LAMP} for ${client}`);
      await rowOf(page, `${LAST_LAMP} for ${client}`).waitFor();

      await rowOf(page, lamp).getByRole('button', { name: 'Switch on' }).click();
      await page.getByText('Done.').waitFor();
      await expectState(page, lamp, 'on');

      await holdSwitch(page, () => rename(lamp, `${lamp} renamed`));
      await rowOf(page, lamp).getByRole('button', { name: 'Switch off' }).click();
      await page.getByText('Somebody else has changed this flag.').waitFor();
      await expectState(page, `${lamp} renamed`, 'on');
      await rowOf(page, lamp).getByRole('button', { name: 'Switch off' }).click();
      await page.getByText('Done.').waitFor();
      await expectState(page, lamp, 'off');

      const second = await open(client);
      await signIn(second, REVIEWER);
      await expectState(second, brake, 'off');
      await rowOf(page, brake).getByRole('button', { name: 'Switch on' }).click();
      await page.getByText('This waits for a second person.').waitFor();
      await rowOf(page, brake).getByText(`waits, requested by ${EDITOR.email}`).waitFor();
      await rowOf(page, brake).getByRole('button', { name: 'Approve' }).click();
      await page.getByText('You may not do this.').waitFor();
      // It arrives at the second person's page by itself, and the approval at the first one's.
      await rowOf(second, brake).getByRole('button', { name: 'Approve' }).click();
      await second.getByText('Approved.').waitFor();
      for (const window of [page, second]) {
        await expectState(window, brake, 'on');
        await rowOf(window, brake).getByText('waits').waitFor({ state: 'detached' });
        await window.context().close();
      }
      expect(faults).toEqual([]);
    },
    120_000,
  );
