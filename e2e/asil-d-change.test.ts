import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { admin } from './harness/admin.ts';
import { Api } from './harness/api.ts';
import { ControlPlaneWithVehicle } from './harness/control-plane-with-vehicle.ts';
import { ADMIN } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';

const VIN = 'KMHK281HGNU000009';
const KEY = 'steering_assist';

let plane: ControlPlaneWithVehicle;

beforeAll(async () => {
  plane = await ControlPlaneWithVehicle.start(VIN);
}, 180_000);

afterAll(() => plane?.remove(), 60_000);

/**
 * Every step as it was sent and answered: with TRANSCRIPT set, a document of an ASIL-D change from request to vehicle.
 */
const steps: string[] = [];
const note = (who: string, what: unknown) =>
  steps.push(`${who}: ${typeof what === 'string' ? what : JSON.stringify(what)}`);

test('a change of an ASIL-D flag goes from request through a second person to the vehicle, and a kill switch goes at once', async () => {
  const { deployment, vehicle, admin: developer } = plane;
  const created = await admin(
    deployment,
    'create-user',
    '--email',
    'safety@example.com',
    '--name',
    'Sam Safety',
    '--role',
    'SAFETY',
  );
  expect(created.code).toBe(0);
  const reviewer = await Api.signedIn(deployment, {
    email: 'safety@example.com',
    password: /once: (\S+)/.exec(created.stdout)?.[1] ?? '',
  });

  const input = {
    key: KEY,
    name: 'Steering assistance',
    type: 'BOOLEAN',
    defaultValue: false,
    safetyLevel: 'ASIL_D',
    environment: 'PRODUCTION',
    enabled: true,
  };
  const empty = await developer.revision();
  const { createFlag } = await developer.ok<{ createFlag: { applied: boolean; changeRequest: { id: string } } }>(
    'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied flag { draft } changeRequest { id } } }',
    { input },
  );
  note(ADMIN.email, { createFlag });
  expect(createFlag).toMatchObject({ applied: false, flag: { draft: true } });
  expect(await developer.revision()).toBe(empty);
  const first = 'mutation ($id: ID!) { approveChangeRequest(id: $id) { status flag { draft revision } } }';
  expect(await reviewer.ok(first, { id: createFlag.changeRequest.id })).toEqual({
    approveChangeRequest: { status: 'APPROVED', flag: { draft: false, revision: empty + 1 } },
  });
  const before = await developer.revision();

  const { createRule } = await developer.ok<{
    createRule: { applied: boolean; flag: { rules: unknown[] }; changeRequest: { id: string; status: string } };
  }>(
    `mutation ($input: RuleInput!) { createRule(flagKey: "${KEY}", input: $input) { applied flag { rules { type } } changeRequest { id status action } } }`,
    { input: { type: 'VEHICLE_WHITELIST', conditions: { vins: [VIN] } } },
  );
  note(ADMIN.email, { createRule });
  expect(createRule).toMatchObject({ applied: false, flag: { rules: [] }, changeRequest: { status: 'PENDING' } });
  const { id } = createRule.changeRequest;
  expect(await developer.revision()).toBe(before);
  await vehicle.reaches(before);
  expect(await vehicle.evaluate(KEY)).toMatchObject({ value: false, reason: 'DEFAULT' });
  note(`vehicle ${VIN}`, await vehicle.evaluate(KEY));

  const approve = `mutation ($id: ID!) { approveChangeRequest(id: $id, comment: "Checked against HARA 4.2") { status comment requestedBy { email } reviewedBy { email } } }`;
  expect(await developer.refused(approve, { id })).toMatchObject({ code: 'FORBIDDEN' });
  note(ADMIN.email, 'approving it oneself: FORBIDDEN');
  const approved = await reviewer.ok(approve, { id });
  note('safety@example.com', approved);
  expect(approved).toEqual({
    approveChangeRequest: {
      status: 'APPROVED',
      comment: 'Checked against HARA 4.2',
      requestedBy: { email: ADMIN.email },
      reviewedBy: { email: 'safety@example.com' },
    },
  });

  await vehicle.serves(KEY, true);
  note(`vehicle ${VIN}`, await vehicle.evaluate(KEY));
  expect((await vehicle.status()).revision).toBe(before + 1);

  const killed = await reviewer.ok(
    `mutation { killSwitch(flagKey: "${KEY}", reason: "Unintended torque") { applied changeRequest { id } flag { killed revision } } }`,
  );
  note('safety@example.com', killed);
  expect(killed).toMatchObject({ killSwitch: { applied: true, changeRequest: null, flag: { killed: true } } });
  await eventually(async () => (await vehicle.evaluate(KEY)).reason === 'DISABLED', 'the kill switch in the vehicle');
  note(`vehicle ${VIN}`, await vehicle.evaluate(KEY));

  const { flag } = await developer.ok<{
    flag: { history: { nodes: { action: string; user: { email: string } | null }[] } };
  }>(`{ flag(key: "${KEY}") { history { nodes { action user { email } } } } }`);
  const trail = flag.history.nodes.map(({ action, user }) => [action, user?.email]).reverse();
  note('the audit log', trail);
  expect(trail).toEqual([
    ['REQUEST_CHANGE', ADMIN.email],
    ['APPROVE_CHANGE', 'safety@example.com'],
    ['CREATE_FLAG', ADMIN.email],
    ['REQUEST_CHANGE', ADMIN.email],
    ['APPROVE_CHANGE', 'safety@example.com'],
    ['CREATE_RULE', ADMIN.email],
    ['KILL_SWITCH', 'safety@example.com'],
  ]);
  if (process.env['TRANSCRIPT'] !== undefined) console.log(steps.join('\n'));
}, 120_000);
