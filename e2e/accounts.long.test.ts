import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Api } from './harness/api.ts';
import { ADMIN, Deployment } from './harness/deployment.ts';

let deployment: Deployment;
let admin: Api;

const ANN = { email: 'ann@example.com', password: 'a password of her own' };
const NEXT = 'and then another one';
const ME = '{ me { role user { id email } } }';
const CREATE = 'mutation ($input: CreateUserInput!) { createUser(input: $input) { id } }';
const UPDATE = 'mutation ($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) { isActive } }';
const CHANGE = 'mutation ($current: String!, $new: String!) { changePassword(current: $current, new: $new) }';

const ended = expect.objectContaining({
  status: 401,
  errors: [expect.objectContaining({ extensions: { code: 'UNAUTHENTICATED' } })],
});

beforeAll(async () => {
  deployment = await Deployment.start();
  admin = await Api.admin(deployment);
}, 120_000);

afterAll(async () => {
  await deployment?.remove();
}, 60_000);

test('a session ends when it signs out, and all of an account with its password or its deactivation', async () => {
  const { createUser } = await admin.ok<{ createUser: { id: string } }>(CREATE, {
    input: { ...ANN, name: 'Ann', role: 'SAFETY' },
  });
  const [first, second, third] = [
    await Api.signedIn(deployment, ANN),
    await Api.signedIn(deployment, ANN),
    await Api.signedIn(deployment, ANN),
  ];
  expect(await first.ok(ME)).toEqual({ me: { role: 'SAFETY', user: { id: createUser.id, email: ANN.email } } });

  expect(await first.ok('mutation { logout }')).toEqual({ logout: true });
  expect(await first.ask('mutation { logout }')).toEqual(ended);
  expect(await first.ask(ME)).toEqual(ended);

  expect(await second.refused(CHANGE, { current: 'guess', new: NEXT })).toEqual({
    code: 'BAD_USER_INPUT',
    field: 'current',
  });
  expect(await second.ok(CHANGE, { current: ANN.password, new: NEXT })).toEqual({ changePassword: true });
  for (const session of [second, third]) expect(await session.ask(ME)).toEqual(ended);

  const again = await Api.signedIn(deployment, { ...ANN, password: NEXT });
  expect(await again.refused(UPDATE, { id: createUser.id, input: { role: 'ADMIN' } })).toEqual({ code: 'FORBIDDEN' });
  expect(await admin.ok(UPDATE, { id: createUser.id, input: { isActive: false } })).toEqual({
    updateUser: { isActive: false },
  });
  expect(await again.ask(ME)).toEqual(ended);

  const { me } = await admin.ok<{ me: { user: { id: string; email: string } } }>(ME);
  expect(me.user.email).toBe(ADMIN.email);
  expect(await admin.refused(UPDATE, { id: me.user.id, input: { isActive: false } })).toEqual({
    code: 'CONFLICT',
    field: 'input.isActive',
  });
}, 60_000);

test('guessing at an account that there is not is answered with the seconds to wait, as a 429', async () => {
  const guess = () =>
    new Api(deployment).ask('mutation { login(email: "nobody@example.com", password: "guess") { token } }');
  let answer = await guess();
  // On a Redis server that other runs have used some have been counted already.
  for (let time = 0; time < 10 && answer.status === 401; time++) answer = await guess();
  expect([answer.status, answer.errors?.[0]?.extensions]).toEqual([
    429,
    { code: 'RATE_LIMITED', retryAfter: expect.any(Number) },
  ]);
}, 60_000);
