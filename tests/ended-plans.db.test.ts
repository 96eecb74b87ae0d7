/** Change requests and rollouts that end with their person's permission: accounts and flags as `main` wires them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Caller, Role } from '../core/access/caller.ts';
import { startAudit } from '../subgraphs/audit/subgraph.ts';
import { planEnding } from '../subgraphs/flags/changes/requests/end-plans.ts';
import { addPerson } from '../subgraphs/flags/testing/flags-under-test.ts';
import { HOUR_MS, RolloutsUnderTest, type Target } from '../subgraphs/flags/testing/rollouts-under-test.ts';
import { createInProcessBus } from '../subgraphs/shared/feeds/bus.ts';
import { createInProcessStore } from '../subgraphs/shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../subgraphs/shared/stores/rate-limiter.ts';
import { asking, refusal, silent, type Ask } from '../subgraphs/shared/testing/asking.ts';
import { testWebhookSettings } from '../subgraphs/shared/testing/webhook-settings.ts';

type Person = Caller & { kind: 'user'; userId: string };

let rollouts: RolloutsUnderTest;
let accounts: Ask;
let stop: () => Promise<void>;
let administrator: Person;
let ann: Person;

const prisma = () => rollouts.flags.prisma;

beforeAll(async () => {
  rollouts = await RolloutsUnderTest.start();
  const parts = {
    prisma: prisma(),
    sessions: createInProcessStore(),
    bus: createInProcessBus(),
    limiter: createInProcessRateLimiter(),
    checkOperation: () => [],
    logger: silent,
  };
  const started = await startAudit({
    webhooks: testWebhookSettings,
    ...parts,
    endPlans: planEnding(rollouts.transitions),
  });
  [accounts, stop] = [asking(started.subgraph), () => started.close()];
  administrator = await addPerson(prisma(), 'ADMIN');
}, 60_000);
afterAll(async () => {
  await stop?.();
  await rollouts?.flags.remove();
});
beforeEach(async () => {
  await rollouts.endAll();
  ann = await addPerson(prisma(), 'WRITE');
});

interface Updated {
  readonly updateUser: {
    readonly cancelledChangeRequests: { id: string }[];
    readonly pausedRollouts: { id: string }[];
  };
}
const update = (person: Person, input: string) =>
  accounts<Updated>(
    administrator,
    `mutation { updateUser(id: "${person.userId}", input: { ${input} }) { role isActive cancelledChangeRequests { id } pausedRollouts { id } } }`,
  );
const ended = async (person: Person, input: string) => {
  const { data, errors } = await update(person, input);
  expect(errors).toEqual([]);
  const ids = (list: { id: string }[]) => list.map(({ id }) => id).sort();
  return { requests: ids(data.updateUser.cancelledChangeRequests), rollouts: ids(data.updateUser.pausedRollouts) };
};
const requestOf = async (mutation: string, person: Person) =>
  (await rollouts.change(mutation, person)).changeRequest!.id;
const scheduleBy = async (target: Target, person: Person) => {
  const { data, errors } = await rollouts.ask(
    target,
    [
      { percentage: 10, after: 'PT1H' },
      { percentage: 25, after: 'PT1H' },
    ],
    person,
  );
  expect(errors).toEqual([]);
  return data.scheduleRollout;
};
const draft = (person: Person, key: string) =>
  requestOf(
    `createFlag(input: { key: "${key}", name: "D", type: BOOLEAN, defaultValue: true, safetyLevel: ASIL_D, environment: STAGING })`,
    person,
  );
const status = async (id: string) => (await prisma().changeRequest.findUniqueOrThrow({ where: { id } })).status;

describe('a user who is deactivated', () => {
  test('no longer has anything pending or running: all of it ends in one transaction, is listed in the answer and is in the audit log', async () => {
    const [plain, critical] = [await rollouts.target(), await rollouts.asilD()];
    const running = (await scheduleBy(plain, ann)).rollout.id;
    const waiting = await scheduleBy(critical, ann);
    const key = rollouts.flags.newKey();
    const asked = [
      await draft(ann, key),
      await requestOf(`disableFlag(key: "${critical.key}")`, ann),
      waiting.changeRequest!.id,
    ].sort();
    const [others, head] = [
      await requestOf(`disableFlag(key: "${critical.key}")`, rollouts.flags.writer as Person),
      (await prisma().auditChain.findUniqueOrThrow({ where: { id: 1 } })).position,
    ];

    expect(await ended(ann, 'isActive: false')).toEqual({ requests: asked, rollouts: [running] });
    expect(await Promise.all(asked.map(status))).toEqual(['cancelled', 'cancelled', 'cancelled']);
    expect(await status(others)).toBe('pending');
    expect(await rollouts.shown(plain)).toMatchObject({
      status: 'PAUSED',
      pausedReason: 'The user who scheduled it is no longer active',
      nextStepAt: null,
    });
    expect(await rollouts.shown(critical)).toMatchObject({ status: 'CANCELLED' });
    expect(await rollouts.after(5 * HOUR_MS)).toBe(0);
    // The draft's key is free again.
    await rollouts.flags.create({ key });

    const trail = await prisma().auditLog.findMany({
      where: { chainPosition: { gt: head } },
      orderBy: { chainPosition: 'asc' },
      take: 5,
    });
    expect(trail.map(({ action, userId }) => [action, userId])).toEqual(
      ['UPDATE_USER', 'CANCEL_CHANGE', 'CANCEL_CHANGE', 'CANCEL_CHANGE', 'PAUSE_ROLLOUT'].map((action) => [
        action,
        administrator.userId,
      ]),
    );
    expect(trail[0]?.afterValue).toMatchObject({
      cancelledChangeRequests: expect.arrayContaining(asked),
      pausedRollouts: [running],
    });
  });

  test('can be followed by somebody who resumes the rollout, which is theirs from then on', async () => {
    const target = await rollouts.target();
    const { id } = (await scheduleBy(target, ann)).rollout;
    await update(ann, 'isActive: false');
    expect((await rollouts.to('resume', id)).data.rollout).toMatchObject({
      status: 'RUNNING',
      scheduledBy: { id: rollouts.flags.writer.userId },
    });
    expect(await rollouts.after(HOUR_MS)).toBe(1);
  });

  test('begins nothing in that moment: schedules and requests that are under way end with the rest, or are refused', async () => {
    for (let round = 0; round < 5; round++) {
      const person = await addPerson(prisma(), 'WRITE');
      const [plain, critical] = [await rollouts.target(), await rollouts.asilD()];
      const [scheduled, asked] = await Promise.all([
        rollouts.ask(plain, [{ percentage: 10, after: 'PT1H' }], person),
        rollouts.flags.ask(person, `mutation { disableFlag(key: "${critical.key}") { changeRequest { id } } }`),
        update(person, 'isActive: false'),
      ]);
      if (scheduled.errors.length > 0) expect(refusal(scheduled)).toEqual({ code: 'FORBIDDEN' });
      else expect((await rollouts.shown(plain)).status).toBe('PAUSED');
      const id = (asked.data as { disableFlag?: { changeRequest: { id: string } } } | null)?.disableFlag?.changeRequest
        .id;
      if (id !== undefined)
        expect(refusal(await rollouts.decide(`approveChangeRequest(id: "${id}")`))?.code).toBe('CONFLICT');
    }
  });
});

describe('another role', () => {
  test.each<[Role, Role, string[]]>([
    ['WRITE', 'READ', ['CREATE_FLAG', 'RELEASE_KILL_SWITCH']],
    ['WRITE', 'SAFETY', ['CREATE_FLAG']],
    ['WRITE', 'ADMIN', []],
    ['ADMIN', 'WRITE', []],
  ])('from %s to %s ends what it gives no right to, and nothing else: %j', async (from, to, cancelled) => {
    const person = await addPerson(prisma(), from);
    const [target, critical] = [await rollouts.target(), await rollouts.asilD()];
    await rollouts.change(`killSwitch(flagKey: "${critical.key}", reason: "Smoke")`);
    const ids = {
      CREATE_FLAG: await draft(person, rollouts.flags.newKey()),
      RELEASE_KILL_SWITCH: await requestOf(`releaseKillSwitch(flagKey: "${critical.key}", reason: "Fixed")`, person),
    };
    const running = (await scheduleBy(target, person)).rollout.id;
    const expected = Object.entries(ids)
      .filter(([action]) => cancelled.includes(action))
      .map(([, id]) => id);
    expect(await ended(person, `role: ${to}`)).toEqual({
      requests: expected.sort(),
      rollouts: to === 'READ' || to === 'SAFETY' ? [running] : [],
    });
    await update(person, 'isActive: false');
  });
});

test('who approves must still be active and have the right, whatever their session says', async () => {
  const critical = await rollouts.asilD();
  const id = await requestOf(`disableFlag(key: "${critical.key}")`, ann);
  const sam = await addPerson(prisma(), 'SAFETY');
  for (const data of [{ isActive: false }, { isActive: true, role: 'READ' }]) {
    await prisma().user.update({ where: { id: sam.userId }, data });
    expect(refusal(await rollouts.decide(`approveChangeRequest(id: "${id}")`, sam))).toEqual({ code: 'FORBIDDEN' });
  }
  expect(await status(id)).toBe('pending');
});

test('a step is not applied in the name of somebody who lost the right past every service', async () => {
  const target = await rollouts.target();
  await scheduleBy(target, ann);
  await prisma().user.update({ where: { id: ann.userId }, data: { role: 'READ' } });
  expect(await rollouts.after(HOUR_MS)).toBe(0);
  expect(await rollouts.shown(target)).toMatchObject({
    status: 'PAUSED',
    pausedReason: 'The user who scheduled it may no longer do this',
  });
});

test('what ends nothing lists nothing, and other answers do not speak of it', async () => {
  expect(await ended(ann, 'department: "Chassis"')).toEqual({ requests: [], rollouts: [] });
  const { data } = await accounts<{ users: { nodes: object[] } }>(
    administrator,
    '{ users { nodes { cancelledChangeRequests { id } pausedRollouts { id } } } }',
  );
  expect(data.users.nodes[0]).toEqual({ cancelledChangeRequests: null, pausedRollouts: null });
});
