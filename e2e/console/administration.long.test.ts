import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { Webhook } from 'standardwebhooks';
import { Api } from '../harness/api.ts';
import { ADMIN, Deployment } from '../harness/deployment.ts';
import { Fleet } from '../harness/fleet.ts';
import { eventually } from '../harness/process.ts';
import { ConsolePage, KOREAN, PHONE, inBrowser, launchBrowser, noBrowser } from './browser.ts';
import { ASIL_D_FLAG, SAMPLE_PEOPLE, makeSampleFleet, sampleVin } from './sample-fleet.ts';

const VIN = sampleVin(1);
const FLEET_TOTAL = 'query FleetTotal {\n  fleet { total }\n}\n';
const FLAG_KEYS = 'query FlagKeys { flags { nodes { key } } }';
const CREATE_RULE =
  'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }';

let deployment: Deployment;
let browser: Browser;
let admin: Api;
let fleet: Fleet;
let keyId: string;
let userId: string;
let webhookId: string;
let receiver: Receiver;

beforeAll(async () => {
  if (noBrowser !== null) return;
  receiver = await startReceiver();
  deployment = await Deployment.start({ FLEETFLAG_WEBHOOK_ALLOW_PRIVATE: '127.0.0.1' });
  admin = await Api.admin(deployment);
  await makeSampleFleet(admin, () => Api.signedIn(deployment, SAMPLE_PEOPLE.safety), 12);
  fleet = await Fleet.start(admin, [VIN]);
  await admin.ok('mutation ($manifest: JSON!) { registerPersistedOperations(manifest: $manifest) { id } }', {
    manifest: { flag_keys: FLAG_KEYS },
  });
  const { createApiKey } = await admin.ok<{ createApiKey: { apiKey: { id: string } } }>(
    'mutation { createApiKey(input: { name: "tier1_brakes", role: READ, rateLimitPerMin: 600, expiresAt: "2090-01-01T00:00:00Z", operations: ["flag_keys"] }) { apiKey { id } } }',
  );
  keyId = createApiKey.apiKey.id;
  const { users } = await admin.ok<{ users: { nodes: { id: string }[] } }>(
    '{ users(filter: { search: "tom.reader" }) { nodes { id } } }',
  );
  userId = users.nodes[0]?.id ?? '';
  const { createWebhook } = await admin.ok<{ createWebhook: { webhook: { id: string } } }>(
    'mutation ($url: String!) { createWebhook(input: { name: "On-call pager", url: $url, kinds: [KILL_SWITCH_PULLED, CHANGE_REQUEST_REJECTED] }) { webhook { id } } }',
    { url: `${receiver.url}/pager` },
  );
  webhookId = createWebhook.webhook.id;
  browser = await launchBrowser();
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await fleet?.remove();
  await deployment?.remove();
  await receiver?.close();
}, 60_000);

/** A program that receives webhooks, with the messages that it has got. */
interface Receiver {
  readonly url: string;
  readonly messages: { readonly path: string; readonly headers: Record<string, string>; readonly body: string }[];
  /** The status of the next answers. */
  status: number;
  close(): Promise<void>;
}

async function startReceiver(): Promise<Receiver> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
      own.messages.push({ path: request.url ?? '', headers, body });
      response.writeHead(own.status).end();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const own: Receiver = {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    messages: [],
    status: 204,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return own;
}

/** Waits for the frame, which only somebody who is signed in sees. */
const signedInOn = ({ page }: ConsolePage) => page.locator('nav.side').waitFor();

async function signedIn(path: string, account: { email: string; password: string } = ADMIN): Promise<ConsolePage> {
  const operator = await ConsolePage.open(browser, deployment);
  await operator.goTo(path);
  await operator.signIn(account);
  await signedInOn(operator);
  return operator;
}

/** Calls a registered operation with a key, as a partner's program does; gives the status. */
async function callWithKey(key: string, id: string): Promise<number> {
  const response = await fetch(`${deployment.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': key },
    body: JSON.stringify({ id }),
  });
  await response.arrayBuffer();
  return response.status;
}

const statusShown = (page: Page, text: string) => page.getByRole('status').getByText(text).waitFor();

/** Each page with a text of each language that it shows when it is complete. */
const PAGES = (): readonly (readonly [path: string, english: string, korean: string])[] => [
  ['/accounts', '4 accounts', '계정 4개'],
  ['/accounts?search=nobody', 'No account fits.', '조건에 맞는 계정이 없습니다.'],
  ['/accounts/new', 'At least 12 characters.', '12자 이상이어야 합니다.'],
  [`/accounts/${userId}`, 'What this person did', '이 사람의 활동 기록'],
  ['/accounts/novel', 'There is no account with this ID.', '이 ID를 가진 계정이 없습니다.'],
  ['/password', 'All your sessions end', '다른 기기를 포함한 모든 세션이 종료됩니다.'],
  ['/keys', '1 key', 'API 키 1개'],
  ['/keys/new', 'Reviewing changes is for people', '변경 검토는 사람만 할 수 있으므로'],
  [`/keys/${keyId}`, 'Operations that it may run', '실행할 수 있는 요청'],
  ['/operations', '1 operation', '등록된 요청 1개'],
  ['/operations?id=flag_keys', 'SHA-256', 'SHA-256'],
  ['/operations/new', 'Keys that may run them', '실행할 수 있는 키'],
  ['/webhooks', '1 webhook', '웹훅 1개'],
  ['/webhooks/new', 'Kill switch released', '킬 스위치 해제'],
  [`/webhooks/${webhookId}`, 'Nothing was sent yet.', '아직 보낸 것이 없습니다.'],
  ['/health', 'Slowest statements', '가장 느린 쿼리'],
  [`/audit?person=${userId}`, 'Only what Tom Reader did.', 'Tom Reader 님의 기록만 표시합니다.'],
  [`/fleet/${VIN}`, 'Revoke all tokens', '모든 토큰 폐기'],
  ['/keys/new/novel', 'The address may be incomplete.', '주소가 올바른지 확인하세요.'],
];

const VIEWS = [
  ['English, on a laptop, light', { locale: 'en-GB', viewport: { width: 1280, height: 860 } }],
  ['Korean, on a phone, dark', { ...PHONE, locale: 'ko-KR', colorScheme: 'dark' }],
  ['English, on a phone, dark', { ...PHONE, locale: 'en-US', colorScheme: 'dark' }],
] as const;

for (const [name, view] of VIEWS) {
  inBrowser(`every page for administrators is accessible and fits into its window: ${name}`, async () => {
    const operator = await ConsolePage.open(browser, deployment, view);
    const isKorean = view.locale === 'ko-KR';
    await operator.goTo('/health');
    await operator.signIn(ADMIN, ...(isKorean ? [KOREAN] : []));
    await signedInOn(operator);
    for (const [path, english, korean] of PAGES()) {
      await operator.goTo(path);
      await operator.page
        .getByText(isKorean ? korean : english)
        .first()
        .waitFor();
      await operator.expectAccessible();
    }
    await operator.close();
  });
}

inBrowser('an account is made, found and changed, and loses with it what it may no longer do', async () => {
  const operator = await signedIn('/accounts');
  const { page } = operator;
  await page.getByRole('link', { name: 'New account' }).click();
  await page.getByLabel('E-mail').fill('sora.lee@example.com');
  await page.getByLabel('Name').fill('Sora Lee');
  await page.getByLabel('Role').selectOption({ label: 'Editor' });
  await page.getByLabel('First password').fill('short');
  await page.getByRole('button', { name: 'Create the account' }).click();
  await page.getByText('The password needs at least 12 characters.').waitFor();
  const password = 'the first one of Sora';
  await page.getByLabel('First password').fill(password);
  await page.getByRole('button', { name: 'Create the account' }).click();
  await statusShown(page, 'The account of Sora Lee is there.');
  await operator.expectAccessible();

  const sora = await Api.signedIn(deployment, { email: 'sora.lee@example.com', password });
  await sora.ok(CREATE_RULE, {
    key: ASIL_D_FLAG.key,
    input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5 } },
  });

  await page.getByRole('link', { name: 'All accounts' }).click();
  await page.getByLabel('Find by name, e-mail or department').fill('SORA');
  await page.getByText('1 account', { exact: true }).waitFor();
  await page.getByRole('link', { name: /Sora Lee/ }).click();
  await operator.heading('Sora Lee');
  await page.getByLabel('Department').fill('Braking');
  await page.getByRole('button', { name: 'Save' }).click();
  await statusShown(page, 'Saved.');
  await page.getByRole('definition').getByText('Braking').waitFor();

  await page.getByRole('button', { name: 'Deactivate' }).click();
  await operator.expectAccessible();
  await page.getByRole('dialog').getByRole('button', { name: 'Deactivate' }).click();
  await statusShown(page, 'The account of Sora Lee is deactivated.');
  await page.getByText('Change requests that were cancelled').waitFor();
  await page.getByRole('link', { name: ASIL_D_FLAG.name }).waitFor();
  await operator.expectAccessible();
  expect((await sora.ask('{ me { kind } }')).status).toBe(401);

  await page.getByRole('button', { name: 'Activate again' }).click();
  await statusShown(page, 'The account of Sora Lee is active again.');
  await page.getByLabel('Role').selectOption({ label: 'Administrator' });
  await page.getByText('Another role ends all sessions').waitFor();
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('definition').getByText('Administrator').waitFor();

  await page.getByRole('link', { name: 'What this person did' }).click();
  await page.getByText('Only what Sora Lee did.').waitFor();
  await page.locator('summary').getByText('Change requested').first().waitFor();
  await page.getByRole('button', { name: 'Show everybody’s' }).click();
  await page.locator('summary').getByText('Account changed').first().waitFor();
  await operator.close();
});

inBrowser('the last administrator stays, and the page says why', async () => {
  const { users } = await admin.ok<{ users: { nodes: { id: string; email: string }[] } }>(
    '{ users(filter: { role: ADMIN, isActive: true }) { nodes { id email } } }',
  );
  const first = users.nodes.find(({ email }) => email === ADMIN.email)?.id ?? '';
  for (const { id } of users.nodes.filter((one) => one.id !== first))
    await admin.ok('mutation ($id: ID!) { updateUser(id: $id, input: { isActive: false }) { id } }', { id });
  const operator = await signedIn(`/accounts/${first}`);
  await operator.page.getByRole('button', { name: 'Deactivate' }).click();
  await operator.page.getByRole('dialog').getByRole('button', { name: 'Deactivate' }).click();
  await operator.page.getByText('This is the last active administrator').waitFor();
  await operator.expectAccessible();
  await operator.close();
});

inBrowser('everybody changes their own password and stays signed in, while their other sessions end', async () => {
  const other = await Api.signedIn(deployment, SAMPLE_PEOPLE.reader);
  const operator = await signedIn('/password', SAMPLE_PEOPLE.reader);
  const { page } = operator;
  const next = 'a new one of the reader';
  const fill = async (current: string, password: string, again: string) => {
    await page.getByLabel('Present password').fill(current);
    await page.getByLabel('New password', { exact: true }).fill(password);
    await page.getByLabel('New password, once more').fill(again);
    await page.getByRole('button', { name: 'Change the password' }).click();
  };
  await fill(SAMPLE_PEOPLE.reader.password, next, 'something else');
  await page.getByText('This is not the same as the new password.').waitFor();
  await fill('not the present one', next, next);
  await page.getByText('The present password is wrong. Nothing was changed.').waitFor();
  await operator.expectAccessible();
  await fill(SAMPLE_PEOPLE.reader.password, next, next);
  await statusShown(page, 'Your password has been changed');
  expect((await other.ask('{ me { kind } }')).status).toBe(401);
  // The new session works, and live updates come back with it.
  await page.getByRole('link', { name: 'Flags' }).click();
  await operator.heading('Flags');
  await page.getByText('Live', { exact: true }).waitFor();
  expect(await page.getByRole('dialog').count()).toBe(0);
  // A reader manages nothing: the rooms are not offered, and their pages say so.
  expect(await page.getByRole('link', { name: 'Accounts' }).count()).toBe(0);
  await operator.goTo('/accounts');
  await page.getByText('Your account may not do this.').waitFor();
  await Api.signedIn(deployment, { ...SAMPLE_PEOPLE.reader, password: next });
  await operator.close();
});

inBrowser(
  'an operation is registered, a key for it is made and shown once, and its revocation refuses it',
  async () => {
    const operator = await signedIn('/operations');
    const { page } = operator;
    await page.getByText('1 operation', { exact: true }).waitFor();
    await page.getByRole('link', { name: 'Register operations' }).click();
    await page.getByLabel('Operation, or manifest').fill('{ fleet { total } }');
    await page.getByRole('button', { name: 'Register', exact: true }).click();
    await page.getByText('The operation has no name.').waitFor();
    await page.getByLabel('Operation, or manifest').fill('query FleetTotal { fleet { totals } }');
    await page.getByRole('button', { name: 'Register', exact: true }).click();
    await page.getByText('Something in the input is wrong.').waitFor();
    await page.getByLabel('Operation, or manifest').fill(FLEET_TOTAL);
    await page.getByRole('button', { name: 'Register', exact: true }).click();
    await statusShown(page, '1 operation is registered');
    await page.getByRole('link', { name: 'FleetTotal' }).click();
    await page.getByText('Every key whose role permits it').first().waitFor();
    await page.getByText('fleet { total }').waitFor();
    await operator.expectAccessible();

    await page.getByRole('link', { name: 'API keys' }).click();
    await page.getByRole('link', { name: 'New API key' }).click();
    await page.getByLabel('Name').fill('tier1_lights');
    await page.getByLabel('Limit').fill('60');
    await page.getByLabel('FleetTotal').check();
    await page.getByRole('button', { name: 'Create the key' }).click();
    await operator.heading('The key is there');
    const key = await page.getByLabel('tier1_lights').getByRole('textbox').inputValue();
    expect(key).toMatch(/^ff_/);
    await page.getByRole('button', { name: 'Copy' }).click();
    await page.getByText(/Copied\.|does not allow copying/).waitFor();
    await operator.expectAccessible();
    await eventually(async () => (await callWithKey(key, 'FleetTotal')) === 200, 'the key runs its operation');

    await page.getByRole('link', { name: 'To the key' }).click();
    await operator.heading('tier1_lights');
    await page.getByText('60 a minute').waitFor();
    await page.getByRole('link', { name: 'FleetTotal' }).waitFor();
    expect(await page.content()).not.toContain(key);
    await page.getByRole('button', { name: 'Revoke' }).click();
    await operator.expectAccessible();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    expect(await callWithKey(key, 'FleetTotal')).toBe(200);
    await page.getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await statusShown(page, 'The key “tier1_lights” is revoked.');
    await page.getByText('It runs nothing').waitFor();
    await eventually(async () => (await callWithKey(key, 'FleetTotal')) === 401, 'the key is refused');
    await page.getByRole('link', { name: 'API keys' }).click();
    await page.getByText('1 key', { exact: true }).waitFor();
    await page.getByLabel('Keys').selectOption({ label: 'All' });
    await page.getByText('Revoked', { exact: true }).waitFor();
    await operator.close();
  },
);

inBrowser(
  'health shows what the deployment measures: gateways, queues, the fleet, the database, the chain',
  async () => {
    await eventually(
      () => fleet.agents.get(VIN)?.evaluate('adas.lane_keep_v2') !== undefined,
      'the vehicle has synced',
    );
    const operator = await signedIn('/health');
    const { page } = operator;
    const gateways = page.getByRole('table', { name: 'Gateways' });
    await eventually(async () => {
      await page.reload();
      await gateways.waitFor();
      return (await gateways.getByRole('row').nth(1).getByRole('cell').first().textContent()) === '1';
    }, 'the gateway has reported the vehicle');
    await page.getByRole('table', { name: 'How far the fleet is behind' }).getByText('1 of 1 (100%)').waitFor();
    const queues = page.getByRole('table', { name: 'Queues' });
    await queues.getByText('of 50,000').waitFor();
    await queues.getByText('of 250,000').waitFor();
    await page.getByRole('table', { name: 'Sizes of tables' }).getByText('audit_logs').waitFor();
    await page.getByRole('button', { name: 'Check the chain' }).click();
    await page.getByText(/Unbroken: \d+ entries/).waitFor();
    await operator.expectAccessible();
    await operator.close();

    const reviewer = await signedIn('/health', SAMPLE_PEOPLE.safety);
    await reviewer.page.getByRole('button', { name: 'Check the chain' }).waitFor();
    await reviewer.page.getByRole('table', { name: 'How far the fleet is behind' }).waitFor();
    expect(await reviewer.page.getByRole('heading', { name: 'Gateways' }).count()).toBe(0);
    await reviewer.expectAccessible();
    await reviewer.close();
  },
);

inBrowser('the audit log is narrowed by person, kind, flag and period', async () => {
  const operator = await signedIn('/audit?flag=v2l_export_limit_w');
  const { page } = operator;
  await page.getByText('1 entry', { exact: true }).waitFor();
  await page.getByLabel('From').fill('2000-01-01T00:00');
  await page.getByText('1 entry', { exact: true }).waitFor();
  await page.getByLabel('Until').fill('2000-01-02T00:00');
  await page.getByText('No entry fits.').waitFor();
  expect(page.url()).toContain('to=2000-01-01T15');
  await page.getByLabel('Until').fill('');
  await page.locator('summary').getByText('Flag created').click();
  await page.getByRole('button', { name: 'Only this person' }).click();
  await page.getByText('Only what System Admin did.').waitFor();
  await page.getByLabel('Change').selectOption({ label: 'Flag switched on' });
  await page.getByText('No entry fits.').waitFor();
  await operator.expectAccessible();
  await operator.close();
});

inBrowser('the tokens of a vehicle are revoked on its page, and a new one is issued', async () => {
  const operator = await signedIn(`/fleet/${VIN}`, SAMPLE_PEOPLE.editor);
  const { page } = operator;
  await page.getByRole('button', { name: 'Issue a token' }).click();
  await page.getByLabel('Valid for days').fill('30');
  await operator.expectAccessible();
  await page.getByRole('dialog').getByRole('button', { name: 'Issue a token' }).click();
  const token = await page.getByLabel('Token', { exact: true }).inputValue();
  expect(token.length).toBeGreaterThan(40);
  await operator.expectAccessible();
  await page.getByRole('button', { name: 'Close' }).click();
  const byVehicle = new Api(deployment, token);
  await byVehicle.ok('{ me { vin } }');
  await page.getByRole('button', { name: 'Revoke all tokens' }).click();
  await operator.expectAccessible();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke all tokens' }).click();
  await statusShown(page, 'All tokens of the vehicle are revoked.');
  await eventually(async () => (await byVehicle.ask('{ me { vin } }')).status === 401, 'the token is refused');
  await eventually(() => fleet.agents.get(VIN)?.status().connected === false, 'the vehicle is cut off');
  await operator.close();
});

inBrowser('a webhook is made, tested, sent again, changed, given a new secret, and deleted', async () => {
  const operator = await signedIn('/webhooks');
  const { page } = operator;
  await page.getByRole('link', { name: 'New webhook' }).click();
  await page.getByLabel('Name').fill('Chat of the operators');
  await page.getByLabel('Address').fill('http://169.254.169.254/latest');
  await page.getByRole('button', { name: 'Create the webhook' }).click();
  await page.getByText('Choose at least one event.').waitFor();
  await page.getByLabel('Kill switch pulled').check();
  await page.getByRole('button', { name: 'Create the webhook' }).click();
  await page.getByText('Something in the input is wrong.').waitFor();
  await page.getByLabel('Address').fill(`${receiver.url}/chat`);
  await page.getByLabel('Too many vehicles offline').check();
  await page.getByLabel('Vehicles offline from, in percent').fill('35');
  await operator.expectAccessible();
  await page.getByRole('button', { name: 'Create the webhook' }).click();
  await operator.heading('The webhook is there');
  const secret = await page.getByLabel('Secret', { exact: true }).inputValue();
  expect(secret).toMatch(/^whsec_/);
  await operator.expectAccessible();

  await page.getByRole('link', { name: 'To the webhook' }).click();
  await operator.heading('Chat of the operators');
  expect(await page.content()).not.toContain(secret);
  receiver.status = 503;
  await page.getByRole('button', { name: 'Send a test' }).click();
  await statusShown(page, 'A test is on its way');
  const test = page.locator('summary').getByText('Test', { exact: true });
  await page.locator('summary').getByText('Failed', { exact: true }).waitFor();
  await test.click();
  await page.getByText('answered 503').waitFor();
  await operator.expectAccessible();
  receiver.status = 204;
  await page.getByRole('button', { name: 'Send again' }).click();
  await page.locator('summary').getByText('Delivered', { exact: true }).waitFor();
  const sent = receiver.messages.filter(({ path }) => path === '/chat');
  expect(new Set(sent.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  for (const { body, headers } of sent) new Webhook(secret).verify(body, headers);

  await page.getByRole('button', { name: 'New secret' }).click();
  // Nothing is not 0, which would end the former secret at once.
  await page.getByLabel('Hours of overlap').fill('');
  await page.getByRole('dialog').getByRole('button', { name: 'New secret' }).click();
  await page.locator('input:focus:invalid').and(page.getByLabel('Hours of overlap')).waitFor();
  await page.getByLabel('Hours of overlap').fill('0');
  await operator.expectAccessible();
  await page.getByRole('dialog').getByRole('button', { name: 'New secret' }).click();
  const next = await page.getByRole('dialog').getByLabel('Secret', { exact: true }).inputValue();
  expect(next).toMatch(/^whsec_/);
  expect(next).not.toBe(secret);
  await page.getByRole('button', { name: 'Close' }).click();

  await page.getByLabel('Change approved').check();
  await page.getByRole('button', { name: 'Save' }).click();
  await statusShown(page, 'Saved.');
  await page.getByRole('definition').getByText('Change approved').waitFor();
  await page.getByRole('button', { name: 'Switch off' }).click();
  await page.getByText('It is off: nothing is sent').waitFor();
  await page.getByRole('button', { name: 'Switch on' }).click();
  await page.getByRole('button', { name: 'Switch off' }).waitFor();

  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await operator.expectAccessible();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
  await statusShown(page, 'The webhook is deleted.');
  await page.getByText('1 webhook', { exact: true }).waitFor();
  await operator.close();
});
