import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { Api } from '../harness/api.ts';
import { ADMIN, Deployment } from '../harness/deployment.ts';
import { ConsolePage, KOREAN, PHONE, inBrowser, launchBrowser, noBrowser } from './browser.ts';
import { ASIL_D_FLAG, SAMPLE_PEOPLE, makeSampleFleet } from './sample-fleet.ts';

let deployment: Deployment;
let browser: Browser;
let admin: Api;

beforeAll(async () => {
  if (noBrowser !== null) return;
  deployment = await Deployment.start({ NODE_ENV: 'production' });
  admin = await Api.admin(deployment);
  await makeSampleFleet(admin, () => Api.signedIn(deployment, SAMPLE_PEOPLE.safety), 60);
  browser = await launchBrowser();
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await deployment?.remove();
}, 60_000);

inBrowser('the change of an ASIL-D flag is requested and approved by two people with the keyboard alone', async () => {
  const [editor, reviewer] = [
    await ConsolePage.open(browser, deployment),
    await ConsolePage.open(browser, deployment, { ...PHONE, locale: 'ko-KR' }),
  ];
  await reviewer.goTo('/changes');
  await reviewer.tabTo('이메일', 'textbox');
  await reviewer.page.keyboard.type(SAMPLE_PEOPLE.safety.email);
  await reviewer.tabTo('비밀번호', 'textbox');
  await reviewer.page.keyboard.type(SAMPLE_PEOPLE.safety.password);
  await reviewer.page.keyboard.press('Enter');
  await reviewer.page.getByText('승인 대기 중인 변경이 없습니다.').waitFor();

  await editor.goTo(`/flags/${ASIL_D_FLAG.key}`);
  await editor.tabTo('E-mail', 'textbox');
  await editor.page.keyboard.type(SAMPLE_PEOPLE.editor.email);
  await editor.tabTo('Password', 'textbox');
  await editor.page.keyboard.type(SAMPLE_PEOPLE.editor.password);
  await editor.page.keyboard.press('Enter');
  await editor.tabTo('Switch on', 'button');
  await editor.page.keyboard.press('Enter');
  const dialog = editor.page.getByRole('dialog');
  await dialog.getByText('waits until a second person approves it').waitFor();
  await editor.tabTo('Request approval', 'button', dialog);
  await editor.page.keyboard.press('Enter');
  await editor.page.getByText('A change of this flag waits for approval.').waitFor();

  // It arrives at the reviewer's page by itself.
  await reviewer.page.getByRole('heading', { name: /기능 플래그 켜기/ }).waitFor();
  await reviewer.page.getByText('승인 대기 중인 변경 1건').waitFor({ state: 'attached' });
  await reviewer.expectAccessible();
  await reviewer.tabTo('의견', 'textbox');
  await reviewer.page.keyboard.type('위험 분석 7.3 확인');
  await reviewer.tabTo('승인', 'button');
  await reviewer.page.keyboard.press('Enter');
  await reviewer.page.getByText('승인했습니다.').waitFor();
  await editor.page.getByText('A change of this flag waits for approval.').waitFor({ state: 'detached' });
  await editor.page.getByText('“위험 분석 7.3 확인”').waitFor();
  const { flag } = await admin.ok<{ flag: { enabled: boolean } }>(
    'query ($key: String!) { flag(key: $key) { enabled } }',
    {
      key: ASIL_D_FLAG.key,
    },
  );
  expect(flag.enabled).toBe(true);
  await editor.close();
  await reviewer.close();
});

inBrowser('what is sent by keyboard leaves the focus at the title of what comes in its place', async () => {
  const operator = await ConsolePage.open(browser, deployment);
  const { page } = operator;
  const focusAtTitle = (title: string) => page.locator('h1:focus', { hasText: title }).waitFor();
  await operator.goTo('/flags/drive_mode/kill');
  await operator.signIn(ADMIN);
  await page.getByLabel('Reason').fill('The wrong mode, INC-4713');
  await page.getByLabel('Type the flag’s key').fill('drive_mode');
  await page.keyboard.press('Enter');
  await focusAtTitle('The kill switch is pulled.');

  await operator.goTo('/accounts/new');
  await page.getByLabel('E-mail').fill('sora.lee@example.com');
  await page.getByLabel('Name').fill('Sora Lee');
  await page.getByLabel('First password').fill('a first password of Sora');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'Sora Lee' }).waitFor();
  await focusAtTitle('New account');

  const { createApiKey } = await admin.ok<{ createApiKey: { apiKey: { id: string } } }>(
    'mutation { createApiKey(input: { name: "tier1_brakes", role: READ, rateLimitPerMin: 600 }) { apiKey { id } } }',
  );
  await operator.goTo(`/keys/${createApiKey.apiKey.id}`);
  await operator.tabTo('Revoke', 'button');
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await operator.tabTo('Revoke', 'button', dialog);
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  await focusAtTitle('tier1_brakes');
  await operator.close();
});

inBrowser('a session that ends keeps what was typed, and goes on after signing in again', async () => {
  const operator = await ConsolePage.open(browser, deployment, { locale: 'ko-KR' });
  const { page } = operator;
  await operator.goTo('/flags/steering_assist/kill');
  await operator.signIn(SAMPLE_PEOPLE.safety, KOREAN);
  await page.getByLabel('사유').fill('조향 이상, INC-4712');
  await page.getByLabel('기능 플래그의 키 입력').fill('steering_assist');
  // Another role ends all sessions of the account; the old one again, so that it may go on.
  const { users } = await admin.ok<{ users: { nodes: { id: string; email: string }[] } }>(
    '{ users { nodes { id email } } }',
  );
  const id = users.nodes.find(({ email }) => email === SAMPLE_PEOPLE.safety.email)?.id;
  for (const role of ['READ', 'SAFETY'])
    await admin.ok('mutation ($id: ID!, $role: Role!) { updateUser(id: $id, input: { role: $role }) { id } }', {
      id,
      role,
    });
  await page.getByRole('dialog', { name: '다시 로그인' }).waitFor();
  await operator.expectAccessible();
  await page.getByLabel('비밀번호').fill(SAMPLE_PEOPLE.safety.password);
  await page.getByRole('button', { name: '로그인', exact: true }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  expect(await page.getByLabel('사유').inputValue()).toBe('조향 이상, INC-4712');
  await page.getByRole('button', { name: '지금 킬 스위치 작동' }).click();
  await operator.heading('킬 스위치가 작동 중입니다.');
  await operator.close();
});
