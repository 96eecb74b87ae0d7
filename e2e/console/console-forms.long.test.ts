import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Browser, Page, WebSocketRoute } from 'playwright-core';
import type { Api } from '../harness/api.ts';
import { ADMIN, type Deployment } from '../harness/deployment.ts';
import { ConsolePage, PHONE, inBrowser, noBrowser } from './browser.ts';
import { SampleConsole } from './sample-console.ts';
import { ASIL_D_FLAG, SAMPLE_PEOPLE, sampleVin } from './sample-fleet.ts';

const BEFORE_AND_AFTER = 'Vehicles before and after the change';
/** Counts, in the browser, the dialogs that are opened from now on. */
const WATCH_DIALOGS = `globalThis.seenDialogs = 0;
  new MutationObserver(() => { if (document.querySelector('dialog[open]') !== null) seenDialogs += 1; })
    .observe(document.body, { childList: true, subtree: true, attributes: true });`;
const UPDATE_RULE = 'mutation ($id: ID!, $input: UpdateRuleInput!) { updateRule(id: $id, input: $input) { applied } }';

let sample: SampleConsole;
let deployment: Deployment;
let browser: Browser;
let admin: Api;
let flagOf: SampleConsole['flagOf'];
let makeFlag: SampleConsole['makeFlag'];
let openAs: SampleConsole['openAs'];

beforeAll(async () => {
  if (noBrowser !== null) return;
  sample = await SampleConsole.start();
  ({ deployment, browser, admin } = sample);
  flagOf = sample.flagOf.bind(sample);
  makeFlag = sample.makeFlag.bind(sample);
  openAs = sample.openAs.bind(sample);
}, 180_000);

afterAll(() => sample?.close(), 60_000);

const saved = (page: Page) => page.getByText('Saved. The change is on its way to the fleet.').waitFor();

inBrowser('a flag is created, with what is wrong told at its field, and changed', async () => {
  const operator = await openAs('/flags', SAMPLE_PEOPLE.editor);
  const { page } = operator;
  await page.getByRole('link', { name: 'New flag' }).click();
  await operator.heading('New flag');
  await page.getByRole('button', { name: 'Create the flag' }).click();
  await page.getByText('Give a key.').waitFor();
  await page.getByLabel('Key', { exact: true }).fill('no key');
  await page.getByLabel('Name', { exact: true }).fill('Seat heating, levels');
  await page.getByLabel('Type').selectOption({ label: 'Number' });
  await page.getByLabel('Default value').fill('two');
  await page.getByRole('button', { name: 'Create the flag' }).click();
  await page.getByText('Give a number, such as 2.5.').waitFor();
  await page.getByLabel('Default value').fill('2');
  await page.getByRole('button', { name: 'Create the flag' }).click();
  // By the path of the control plane's fault.
  await page
    .locator('.field', { has: page.getByLabel('Key', { exact: true }) })
    .locator('.field-wrong')
    .waitFor();
  expect(await page.getByLabel('Key', { exact: true }).getAttribute('aria-invalid')).toBe('true');
  await operator.expectAccessible();
  await page.getByLabel('Key', { exact: true }).fill('seat.levels');
  await page.getByRole('button', { name: 'Create the flag' }).click();
  await page.getByText('The flag exists now').waitFor();
  await page.getByRole('link', { name: 'To the flag' }).click();
  await operator.heading('Seat heating, levels');

  await page.getByRole('link', { name: 'Change', exact: true }).click();
  await page.getByLabel('Description').fill('Three levels.');
  await page.getByLabel('Default value').fill('1');
  await page.getByLabel('Environment').selectOption({ label: 'Staging' });
  await page.getByText('The flag moves to Staging').waitFor();
  await page.getByRole('button', { name: 'Save' }).click();
  // What vehicles get changes, so it is shown first for whom.
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('table', { name: BEFORE_AND_AFTER }).getByRole('row', { name: /^1/ }).waitFor();
  await operator.expectAccessible();
  await dialog.getByRole('button', { name: 'Save' }).click();
  await saved(page);
  expect(await flagOf('seat.levels')).toMatchObject({
    description: 'Three levels.',
    defaultValue: 1,
    environment: 'STAGING',
  });
  await operator.close();
});

inBrowser('a rule of every type is created by its form, previewed first', async () => {
  await makeFlag('forms.every', { type: 'STRING', defaultValue: 'eco' });
  const operator = await openAs('/flags/forms.every', SAMPLE_PEOPLE.editor);
  const { page } = operator;
  const preview = () => page.getByRole('button', { name: 'Check and preview' }).click();
  const begin = async (type: string) => {
    await operator.goTo('/flags/forms.every/new-rule');
    await page.getByLabel('How it chooses vehicles').selectOption({ label: type });
  };
  await operator.heading('Flag forms.every');
  await page.getByRole('link', { name: 'Add a rule' }).click();
  await page.getByLabel('Percentage').fill('many');
  await preview();
  await page.getByText('Give a number from 0 to 100.').waitFor();
  await page.getByLabel('Percentage').fill('100');
  await page.getByRole('combobox', { name: 'Models' }).fill('EV9');
  await page.getByRole('button', { name: 'Add to: Models' }).click();
  await page.getByLabel('Software versions').fill('>=3 <2');
  await preview();
  await page
    .locator('.field', { has: page.getByLabel('Software versions') })
    .locator('.field-wrong')
    .waitFor();
  await page.getByLabel('Software versions').fill('');
  await page.getByLabel('What it gives').selectOption({ label: 'A value of its own' });
  await page.getByLabel('Value', { exact: true }).fill('sport');
  await page.getByLabel('Name of the variant').fill('sporty');
  await preview();
  await page.getByText('15 vehicles would get another value.').waitFor();
  const table = page.getByRole('table', { name: BEFORE_AND_AFTER });
  await table
    .getByRole('row', { name: /"sport" \(sporty\)/ })
    .getByText('EV9')
    .waitFor();
  await operator.expectAccessible();
  await page.getByRole('button', { name: 'Save' }).click();
  await saved(page);

  await begin('Vehicles by model, version, region');
  await page.getByRole('combobox', { name: 'Regions' }).fill('KR');
  await preview();
  await page.getByRole('button', { name: 'Save' }).click();
  await saved(page);

  await begin('Named vehicles');
  await page.getByLabel('Vehicles (VIN)').fill(`${sampleVin(1)}\nKMH12`);
  await preview();
  await page.getByText('See KMH12:').waitFor();
  await page.getByLabel('Vehicles (VIN)').fill(`${sampleVin(1)}\n${sampleVin(2)}`);
  await preview();
  await page.getByRole('button', { name: 'Save' }).click();
  await saved(page);

  await begin('By attributes');
  await page.getByLabel('Attribute', { exact: true }).fill('tier');
  await page.getByLabel('Comparison').selectOption({ label: 'is one of' });
  await page.getByLabel('Value 1').fill('premium');
  await page.getByRole('button', { name: 'Add a value' }).click();
  await page.getByLabel('Value 2').fill('trial');
  await page.getByRole('button', { name: 'Add a condition' }).click();
  const second = page.getByRole('group', { name: 'Condition 2' });
  await second.getByLabel('Attribute', { exact: true }).fill('driverAge');
  await second.getByLabel('Comparison').selectOption({ label: 'is at least' });
  await second.getByLabel('Kind').selectOption({ label: 'Number' });
  await second.getByLabel('Value 1').fill('21');
  await preview();
  await page.getByText('Attributes are known only in the vehicle').waitFor();
  await operator.expectAccessible();
  await page.getByRole('button', { name: 'Save' }).click();
  await saved(page);

  await begin('Kill switch');
  await page.getByLabel('Reason').fill('Mode jumps, INC-4720');
  await preview();
  await page.getByText('This pulls the kill switch.').waitFor();
  await page.getByRole('button', { name: 'Save' }).click();
  await saved(page);

  const { rules, killed } = await flagOf('forms.every');
  expect(killed).toBe(true);
  expect(rules.map(({ type, conditions, value, variant }) => ({ type, conditions, value, variant }))).toEqual(
    expect.arrayContaining([
      {
        type: 'PERCENTAGE_ROLLOUT',
        conditions: { rollout_percentage: 100, models: ['EV9'] },
        value: 'sport',
        variant: 'sporty',
      },
      { type: 'VEHICLE_TARGET', conditions: { regions: ['KR'] }, value: null, variant: 'enabled' },
      {
        type: 'VEHICLE_WHITELIST',
        conditions: { vins: [sampleVin(1), sampleVin(2)] },
        value: null,
        variant: 'enabled',
      },
      {
        type: 'USER_ATTRIBUTE',
        conditions: {
          all: [
            { attribute: 'tier', operator: 'in', values: ['premium', 'trial'] },
            { attribute: 'driverAge', operator: 'gte', values: [21] },
          ],
        },
        value: null,
        variant: 'enabled',
      },
      expect.objectContaining({ type: 'KILL_SWITCH' }),
    ]),
  );
  // The kill switch is released by its form, with a reason.
  const id = rules.find(({ type }) => type === 'KILL_SWITCH')?.id ?? '';
  await operator.goTo(`/flags/forms.every/rules/${id}`);
  await page.getByLabel('Switched on').uncheck();
  await preview();
  await page.getByLabel('Why is it safe again?').fill('Fixed in 2.5.1');
  await page.getByRole('button', { name: 'Save' }).click();
  await saved(page);
  expect((await flagOf('forms.every')).killed).toBe(false);
  await operator.close();
});

inBrowser('rules are moved, switched and deleted in the list, each after who would get what', async () => {
  await makeFlag('forms.order', {}, [
    { type: 'VEHICLE_TARGET', priority: 20, conditions: { regions: ['KR'] } },
    { type: 'VEHICLE_TARGET', priority: 10, conditions: { models: ['EV9'] }, value: false },
  ]);
  const operator = await openAs('/flags/forms.order', SAMPLE_PEOPLE.editor);
  const { page } = operator;
  const first = 'Vehicles by model, version, region (priority 20)';
  const second = 'Vehicles by model, version, region (priority 10)';
  const dialog = page.getByRole('dialog');
  // A button for what cannot be done can be pressed, and says why; Playwright takes it for disabled.
  await page.getByRole('button', { name: `Up: ${first}` }).press('Enter');
  await page.getByText('This rule is tried first already.').waitFor();
  const { revision, rules } = await flagOf('forms.order');
  await page.getByRole('button', { name: `Up: ${second}` }).click();
  await dialog.getByText(/vehicles? would get another value/).waitFor();
  await operator.expectAccessible();
  await dialog.getByRole('button', { name: 'Up' }).click();
  await dialog.waitFor({ state: 'detached' });
  await page.locator('.rule').first().getByText('EV9').waitFor();
  // One change, in which the rules have exchanged their priorities.
  const moved = await flagOf('forms.order');
  expect(moved.revision).toBe(revision + 1);
  expect(moved.rules.map(({ id, priority }) => [id, priority])).toEqual([
    [rules[1]?.id, 20],
    [rules[0]?.id, 10],
  ]);
  await page.getByRole('button', { name: `Switch off: ${second}` }).click();
  await dialog.getByRole('button', { name: 'Switch off' }).click();
  await page.getByRole('button', { name: `Switch on: ${second}` }).waitFor();
  await page.getByRole('button', { name: `Delete: ${first}` }).click();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await dialog.waitFor({ state: 'detached' });
  expect((await flagOf('forms.order')).rules).toMatchObject([{ conditions: { regions: ['KR'] }, enabled: false }]);
  await operator.close();
});

inBrowser('a form survives what somebody else changes meanwhile, and the end of its session', async () => {
  await makeFlag('forms.conflict', {}, [
    { type: 'PERCENTAGE_ROLLOUT', priority: 20, conditions: { rollout_percentage: 5 } },
  ]);
  const { id } = (await flagOf('forms.conflict')).rules[0]!;
  const operator = await openAs(`/flags/forms.conflict/rules/${id}`, SAMPLE_PEOPLE.editor);
  const { page } = operator;
  await page.getByLabel('Percentage').fill('25');
  await page.getByText('Live', { exact: true }).waitFor();
  await admin.ok(UPDATE_RULE, { id, input: { priority: 77 } });
  await page.getByText('The flag has changed meanwhile.').waitFor();
  const table = page.getByRole('table', { name: 'What has changed meanwhile' });
  await table.getByText('77').waitFor();
  expect(await page.getByLabel('Percentage').inputValue()).toBe('25');
  await operator.expectAccessible();
  await page.getByRole('button', { name: 'Apply again' }).click();
  expect(await page.getByLabel('Priority').inputValue()).toBe('77');
  expect(await page.getByLabel('Percentage').inputValue()).toBe('25');

  // Another role ends all sessions of the account, once. With this one it may go on as well.
  const { users } = await admin.ok<{ users: { nodes: { id: string; email: string }[] } }>(
    '{ users { nodes { id email } } }',
  );
  const user = users.nodes.find(({ email }) => email === SAMPLE_PEOPLE.editor.email)?.id;
  const giveRole = (role: string) =>
    admin.ok('mutation ($id: ID!, $role: Role!) { updateUser(id: $id, input: { role: $role }) { id } }', {
      id: user,
      role,
    });
  await giveRole('ADMIN');
  await page.getByRole('dialog', { name: 'Sign in again' }).waitFor();
  await page.getByLabel('Password').fill(SAMPLE_PEOPLE.editor.password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  expect(await page.getByLabel('Percentage').inputValue()).toBe('25');
  await page.getByRole('button', { name: 'Check and preview' }).click();
  await page.getByRole('button', { name: 'Save' }).click();
  await saved(page);
  expect((await flagOf('forms.conflict')).rules).toMatchObject([
    { priority: 77, conditions: { rollout_percentage: 25 } },
  ]);
  await operator.close();
  await giveRole('WRITE');
});

/** The websockets of a page, which a test can close and keep closed. */
async function holdSockets(page: Page) {
  const open = new Set<WebSocketRoute>();
  let isAway = false;
  await page.routeWebSocket('**/graphql', (socket) => {
    if (isAway) return void socket.close({ code: 1012, reason: 'Away' });
    socket.connectToServer();
    open.add(socket);
  });
  return {
    async close(code: number): Promise<void> {
      for (const socket of open) await socket.close({ code, reason: 'Closed by the test' });
      open.clear();
    },
    set away(value: boolean) {
      isAway = value;
    },
  };
}

inBrowser('a form that is sent without live updates learns from the refusal what has changed', async () => {
  await makeFlag('forms.unheard', {}, [
    { type: 'PERCENTAGE_ROLLOUT', priority: 20, conditions: { rollout_percentage: 5 } },
  ]);
  const { id } = (await flagOf('forms.unheard')).rules[0]!;
  const operator = await ConsolePage.open(browser, deployment);
  const { page } = operator;
  const sockets = await holdSockets(page);
  await operator.goTo(`/flags/forms.unheard/rules/${id}`);
  await operator.signIn(SAMPLE_PEOPLE.editor);
  await page.getByText('Live', { exact: true }).waitFor();
  sockets.away = true;
  await sockets.close(1012);
  await page.locator('.connection-lost').waitFor();
  await page.getByLabel('Percentage').fill('25');
  await page.getByRole('button', { name: 'Check and preview' }).click();
  await page.getByRole('table', { name: BEFORE_AND_AFTER }).waitFor();
  await admin.ok(UPDATE_RULE, { id, input: { priority: 77 } });
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('The flag has changed meanwhile.').waitFor();
  await page.getByRole('table', { name: 'What has changed meanwhile' }).getByText('77').waitFor();
  await operator.expectAccessible();
  await page.getByRole('button', { name: 'Apply again' }).click();
  await page.getByRole('button', { name: 'Check and preview' }).click();
  await page.getByRole('button', { name: 'Save' }).click();
  await saved(page);
  expect((await flagOf('forms.unheard')).rules).toMatchObject([
    { priority: 77, conditions: { rollout_percentage: 25 } },
  ]);
  await operator.close();
});

inBrowser('a socket that is refused for a session before this one connects again, and nobody signs in', async () => {
  const operator = await ConsolePage.open(browser, deployment);
  const { page } = operator;
  const sockets = await holdSockets(page);
  await operator.goTo('/flags');
  await operator.signIn(SAMPLE_PEOPLE.editor);
  const state = page.locator('.connection');
  await state.getByText('Live', { exact: true }).waitFor();
  await page.evaluate(WATCH_DIALOGS);
  await sockets.close(4403);
  await page.locator('.connection-lost').waitFor();
  await state.getByText('Live', { exact: true }).waitFor();
  expect(await page.evaluate('seenDialogs')).toBe(0);
  // The news of another session's end come late; this one goes on.
  await makeFlag('forms.after_refusal');
  await page.getByText('Flag forms.after_refusal').waitFor();
  await operator.close();
});

inBrowser('a flag is archived, brought back, and restored to what it was, after the difference', async () => {
  await makeFlag('forms.restored', { name: 'First name' }, [
    { type: 'VEHICLE_TARGET', priority: 20, conditions: { regions: ['KR'] } },
  ]);
  await admin.ok('mutation { updateFlag(key: "forms.restored", input: { name: "Second name" }) { applied } }');
  const operator = await openAs('/flags/forms.restored', SAMPLE_PEOPLE.editor);
  const { page } = operator;
  const dialog = page.getByRole('dialog');
  await page.getByRole('button', { name: 'Archive' }).click();
  await dialog.getByRole('button', { name: 'Archive' }).click();
  await page.getByText('This flag is archived').waitFor();
  await page.getByRole('button', { name: 'Add a rule' }).press('Enter');
  await page.getByText('The flag is archived. Bring it back first.').waitFor();
  await page.getByRole('button', { name: 'Bring back' }).click();
  await dialog.getByRole('button', { name: 'Bring back' }).click();
  await page.getByRole('button', { name: 'Archive' }).waitFor();
  await page.getByRole('link', { name: 'Earlier contents' }).click();
  await page.getByText('This is the present content.').waitFor();
  const old = page.getByRole('listitem').filter({ hasText: 'First name' }).first();
  await old.getByRole('table', { name: 'What restoring changes' }).getByText('First name').waitFor();
  await operator.expectAccessible();
  await old.getByRole('button', { name: 'Restore this content' }).click();
  await dialog.getByText('First name').waitFor();
  // Another rule would decide nothing else than now: the flag came back switched off, and was on then.
  await dialog.getByRole('table', { name: BEFORE_AND_AFTER }).getByRole('row', { name: /^true/ }).waitFor();
  await operator.expectAccessible();
  await dialog.getByRole('button', { name: 'Restore this content' }).click();
  await saved(page);
  expect(await flagOf('forms.restored')).toMatchObject({ name: 'First name', archivedAt: null });
  await operator.close();
});

inBrowser('a person who may only read sees why nothing can be changed, and why a vehicle gets its value', async () => {
  const operator = await openAs('/flags/adas.lane_keep_v2', SAMPLE_PEOPLE.reader, { ...PHONE, locale: 'ko-KR' });
  const { page } = operator;
  const reason = '현재 역할로는 기능 플래그를 변경할 수 없습니다. 편집자나 관리자가 할 수 있습니다.';
  const add = page.getByRole('button', { name: '규칙 추가' });
  await expect(add.getAttribute('title')).resolves.toBe(reason);
  await add.press('Enter');
  await page.getByText(reason).waitFor();
  await page.getByLabel('차량의 차대번호(VIN)').fill('KMH');
  await page.getByRole('button', { name: '이유 보기' }).click();
  await page.getByText('차대번호는 숫자와 I, O, Q를 제외한').waitFor();
  await page.getByLabel('차량의 차대번호(VIN)').fill(sampleVin(1).toLowerCase());
  await page.getByRole('button', { name: '이유 보기' }).click();
  await page.getByText('규칙과 일치했습니다.').waitFor();
  await page.getByText('지정 차량 목록: 충족').waitFor();
  await operator.expectAccessible();
  await operator.goTo('/flags/adas.lane_keep_v2/new-rule');
  await page.getByText(reason).waitFor();
  await operator.goTo('/flags?state=stale');
  await page.getByText('조건에 맞는 기능 플래그가 없습니다.').waitFor();
  await operator.close();
});

inBrowser(
  'a rule of an ASIL-D flag is written, previewed, requested and approved with the keyboard alone',
  async () => {
    const editor = await ConsolePage.open(browser, deployment);
    const reviewer = await ConsolePage.open(browser, deployment, { ...PHONE, locale: 'ko-KR' });
    const { page } = editor;
    await editor.goTo(`/flags/${ASIL_D_FLAG.key}`);
    await editor.tabTo('E-mail', 'textbox');
    await page.keyboard.type(SAMPLE_PEOPLE.editor.email);
    await editor.tabTo('Password', 'textbox');
    await page.keyboard.type(SAMPLE_PEOPLE.editor.password);
    await page.keyboard.press('Enter');
    await editor.tabTo('Add a rule', 'link');
    await page.keyboard.press('Enter');
    await editor.tabTo('Percentage', 'textbox');
    await page.keyboard.type('5');
    await editor.tabTo('Models', 'combobox');
    await page.keyboard.type('EV9');
    await page.keyboard.press('Enter');
    await editor.tabTo('Check and preview', 'button');
    await page.keyboard.press('Enter');
    await page.getByText('waits until a second person approves it').waitFor();
    await editor.expectAccessible();
    await editor.tabTo('Request approval', 'button');
    await page.keyboard.press('Enter');
    await page.getByText('It waits for approval.').waitFor();
    expect((await flagOf(ASIL_D_FLAG.key)).rules).toEqual([]);

    await reviewer.goTo('/changes');
    await reviewer.tabTo('이메일', 'textbox');
    await reviewer.page.keyboard.type(SAMPLE_PEOPLE.safety.email);
    await reviewer.tabTo('비밀번호', 'textbox');
    await reviewer.page.keyboard.type(SAMPLE_PEOPLE.safety.password);
    await reviewer.page.keyboard.press('Enter');
    await reviewer.page.getByRole('heading', { name: /규칙 생성/ }).waitFor();
    await reviewer.tabTo('승인', 'button');
    await reviewer.page.keyboard.press('Enter');
    await reviewer.page.getByText('승인했습니다.').waitFor();
    expect((await flagOf(ASIL_D_FLAG.key)).rules).toMatchObject([
      { conditions: { rollout_percentage: 5, models: ['EV9'] } },
    ]);
    await editor.close();
    await reviewer.close();
  },
);

for (const [name, view] of [
  ['English, on a laptop', { locale: 'en-GB', viewport: { width: 1280, height: 860 } }],
  ['Korean, on a phone, dark', { ...PHONE, locale: 'ko-KR', colorScheme: 'dark' }],
] as const)
  inBrowser(`every form is accessible and fits into its window: ${name}`, async () => {
    const operator = await openAs('/new-flag', ADMIN, view);
    const { page } = operator;
    const types = page.locator('main select').first();
    await page.locator('form').first().waitFor();
    await operator.expectAccessible();
    await operator.goTo('/flags/drive_mode/edit');
    await page.locator('form').first().waitFor();
    await operator.expectAccessible();
    await operator.goTo('/flags/drive_mode/new-rule');
    for (const type of ['VEHICLE_TARGET', 'VEHICLE_WHITELIST', 'USER_ATTRIBUTE', 'KILL_SWITCH', 'PERCENTAGE_ROLLOUT']) {
      await types.selectOption(type);
      await operator.expectAccessible();
    }
    await operator.goTo('/flags/drive_mode/versions');
    await page.locator('.versions > li').first().waitFor();
    await operator.expectAccessible();
    await operator.goTo('/flags/drive_mode');
    await page.locator('.rule-actions').first().waitFor();
    await operator.expectAccessible();
    await operator.close();
  });
