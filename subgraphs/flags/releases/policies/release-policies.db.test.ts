/** Release policies through the API: what may be set by one person, and what waits for a second one. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../../core/access/caller.ts';
import { addPerson, FlagsUnderTest } from '../../testing/flags-under-test.ts';
import { readReleasePolicy } from './release-policy.ts';

let flags: FlagsUnderTest;
let admin: Caller & { kind: 'user'; userId: string };
let otherAdmin: Caller & { kind: 'user'; userId: string };

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  admin = await addPerson(flags.prisma, 'ADMIN');
  otherAdmin = await addPerson(flags.prisma, 'ADMIN');
}, 60_000);
afterAll(() => flags?.remove());
beforeEach(async () => {
  await flags.prisma.releasePolicy.deleteMany();
});

const FIELDS = `environment stages { percentage soak minimumVehicles } canary { vins models regions } safetyLevels
  maximumFaultyVehicles maximumFaultyPercent`;
const POLICY = `${FIELDS} updatedBy { id } updatedAt
  proposal { id stages { percentage soak } safetyLevels maximumFaultyVehicles canary { models } loosens proposedBy { id } proposedAt }`;

interface PolicyJson {
  readonly stages: readonly { readonly percentage: number; readonly soak: string; readonly minimumVehicles: number }[];
  readonly maximumFaultyVehicles: number;
  readonly updatedBy: { readonly id: string } | null;
  readonly updatedAt: string | null;
  readonly proposal: { readonly id: string; readonly loosens: readonly string[] } | null;
}

const INPUT = {
  environment: 'PRODUCTION',
  stages: [
    { percentage: 1, soak: 'PT1H', minimumVehicles: 20 },
    { percentage: 100, soak: 'P1D' },
  ],
};
const SET = `mutation ($input: ReleasePolicyInput!) { setReleasePolicy(input: $input) { ${POLICY} } }`;
const set = (change: object = {}, caller: Caller = admin) =>
  flags.ask<{ setReleasePolicy: PolicyJson }>(caller, SET, { input: { ...INPUT, ...change } });
const wasSet = async (change: object = {}, caller: Caller = admin) => {
  const { data, errors } = await set(change, caller);
  expect(errors).toEqual([]);
  return data.setReleasePolicy;
};
const read = async () =>
  (await flags.ok<{ releasePolicy: PolicyJson }>(`{ releasePolicy(environment: PRODUCTION) { ${POLICY} } }`))
    .releasePolicy;
const decide = (name: 'approve' | 'reject', proposalId: string, caller: Caller, comment: string | null = 'Because.') =>
  flags.ask<Record<string, PolicyJson>>(
    caller,
    `mutation ($id: ID!, $comment: String${name === 'reject' ? '!' : ''}) {
      ${name}ReleasePolicy(environment: PRODUCTION, proposalId: $id, comment: $comment) { ${POLICY} }
    }`,
    { id: proposalId, comment },
  );
const proposed = async (change: object = { maximumFaultyVehicles: 4 }) => {
  const { proposal } = await wasSet(change);
  expect(proposal).not.toBeNull();
  return proposal?.id ?? '';
};
const codeOf = ({ errors }: { readonly errors: readonly { extensions?: { code?: unknown; field?: unknown } }[] }) =>
  errors.map(({ extensions }) => [extensions?.code, extensions?.field]);
const lastAct = async () => {
  const act = await flags.prisma.auditLog.findFirst({ orderBy: { chainPosition: 'desc' } });
  return { action: act?.action, userId: act?.userId, before: act?.beforeValue, after: act?.afterValue };
};

describe('A policy', () => {
  test('has no stages at first', async () => {
    const none = { stages: [], canary: null, updatedBy: null, updatedAt: null, proposal: null };
    expect(await read()).toMatchObject(none);
  });

  test('has what was set, and defaults for the rest', async () => {
    const policy = await wasSet({ canary: { models: ['EV9'], regions: ['KR'] } });
    expect(policy).toEqual({
      environment: 'PRODUCTION',
      stages: [
        { percentage: 1, soak: 'PT1H', minimumVehicles: 20 },
        { percentage: 100, soak: 'P1D', minimumVehicles: 0 },
      ],
      canary: { vins: [], models: ['EV9'], regions: ['KR'] },
      safetyLevels: ['NON_CRITICAL', 'SAFETY_RELEVANT', 'ASIL_B', 'ASIL_D'],
      maximumFaultyVehicles: 3,
      maximumFaultyPercent: 1,
      updatedBy: { id: admin.userId },
      updatedAt: expect.any(String),
      proposal: null,
    });
    expect(await read()).toEqual(policy);
    expect(await lastAct()).toEqual({
      action: 'SET_RELEASE_POLICY',
      userId: admin.userId,
      before: null,
      after: expect.objectContaining({
        environment: 'production',
        stages: [
          { percentage: 1, soak: 'PT1H', minimumVehicles: 20 },
          { percentage: 100, soak: 'P1D', minimumVehicles: 0 },
        ],
      }),
    });
  });

  test('stays, and is not recorded again, where it is set as it is', async () => {
    const policy = await wasSet();
    const acts = await flags.prisma.auditLog.count();
    expect(await wasSet()).toEqual(policy);
    expect(await flags.prisma.auditLog.count()).toBe(acts);
  });

  test('that cannot be is refused at its fault, and changes nothing', async () => {
    const policy = await wasSet();
    expect(codeOf(await set({ stages: [{ percentage: 1, soak: 'PT1H' }] }))).toEqual([
      ['BAD_USER_INPUT', 'input.stages.0.percentage'],
    ]);
    expect(codeOf(await set({ canary: { vins: [] } }))).toEqual([['BAD_USER_INPUT', 'input.canary']]);
    expect(codeOf(await set({ stages: [{ percentage: 100, soak: { hours: 1 } }] }))).toEqual([
      ['BAD_USER_INPUT', 'input.stages.0.soak'],
    ]);
    expect(await read()).toEqual(policy);
  });

  test('can be set by a key as long as nobody else has to agree', async () => {
    const key: Caller = { kind: 'apiKey', apiKeyId: null, role: 'ADMIN', rateLimitPerMin: null };
    expect((await wasSet({}, key)).updatedBy).toBeNull();
    expect((await wasSet({ maximumFaultyVehicles: 2 }, key)).maximumFaultyVehicles).toBe(2);
    expect(codeOf(await set({ maximumFaultyVehicles: 3 }, key))).toEqual([['FORBIDDEN', undefined]]);
    expect((await read()).proposal).toBeNull();
  });

  test('is set by administrators alone', async () => {
    for (const caller of [flags.writer, flags.reviewer])
      expect(codeOf(await set({}, caller))).toEqual([['FORBIDDEN', undefined]]);
    expect(await read()).toMatchObject({ stages: [], updatedAt: null });
  });

  test('is not set over one that its author has not seen', async () => {
    const first = await wasSet();
    const setOver = (seen: string | null, maximumFaultyVehicles: number) =>
      flags.ask<{ setReleasePolicy: PolicyJson }>(
        otherAdmin,
        `mutation ($input: ReleasePolicyInput!, $seen: DateTime) {
          setReleasePolicy(input: $input, expectedUpdatedAt: $seen) { updatedAt maximumFaultyVehicles }
        }`,
        { input: { ...INPUT, maximumFaultyVehicles }, seen },
      );
    const second = await setOver(first.updatedAt, 2);
    expect(second.errors).toEqual([]);
    expect(codeOf(await setOver(first.updatedAt, 1))).toEqual([['CONFLICT', undefined]]);
    expect((await read()).maximumFaultyVehicles).toBe(2);
    expect((await setOver(second.data.setReleasePolicy.updatedAt, 1)).errors).toEqual([]);
  });

  test('that does not hold for ASIL-D is loosened by one person', async () => {
    await wasSet({ safetyLevels: ['ASIL_B'] });
    expect((await wasSet({ safetyLevels: ['ASIL_B'], stages: [] })).stages).toEqual([]);
    expect(await readReleasePolicy(flags.prisma, 'production')).toBeNull();
  });
});

describe('A looser policy for ASIL-D', () => {
  test('waits for a second person, while the present one stays', async () => {
    const before = await wasSet();
    const after = await wasSet({ stages: [], maximumFaultyVehicles: 9 });
    expect(after).toEqual({
      ...before,
      proposal: {
        id: expect.any(String),
        stages: [],
        safetyLevels: ['NON_CRITICAL', 'SAFETY_RELEVANT', 'ASIL_B', 'ASIL_D'],
        maximumFaultyVehicles: 9,
        canary: null,
        loosens: ['FEWER_LEVELS', 'SHORTER_WATCH', 'FEWER_REPORTS', 'HIGHER_FAULT_LIMIT'],
        proposedBy: { id: admin.userId },
        proposedAt: expect.any(String),
      },
    });
    expect(await readReleasePolicy(flags.prisma, 'production')).toMatchObject({ maximumFaultyVehicles: 3 });
    expect(await lastAct()).toMatchObject({ action: 'PROPOSE_RELEASE_POLICY', userId: admin.userId });
  });

  test('takes effect when the second person approves it, who is not its author', async () => {
    await wasSet();
    const id = await proposed();
    expect(codeOf(await decide('approve', id, admin))).toEqual([['FORBIDDEN', undefined]]);
    const { data, errors } = await decide('approve', id, flags.reviewer);
    expect(errors).toEqual([]);
    expect(data['approveReleasePolicy']).toMatchObject({
      maximumFaultyVehicles: 4,
      updatedBy: { id: admin.userId },
      proposal: null,
    });
    expect(await lastAct()).toEqual({
      action: 'SET_RELEASE_POLICY',
      userId: flags.reviewer.userId,
      before: expect.objectContaining({ maximumFaultyVehicles: 3 }),
      after: expect.objectContaining({
        maximumFaultyVehicles: 4,
        proposal: id,
        proposedBy: admin.userId,
        comment: 'Because.',
      }),
    });
    expect(codeOf(await decide('approve', id, otherAdmin))).toEqual([['NOT_FOUND', 'proposalId']]);
  });

  test('is gone when the second person rejects it, or its author withdraws it', async () => {
    const before = await wasSet();
    for (const caller of [flags.reviewer, admin]) {
      const id = await proposed();
      expect(codeOf(await decide('reject', id, caller, ' '))).toEqual([['BAD_USER_INPUT', 'comment']]);
      const { data } = await decide('reject', id, caller);
      expect(data['rejectReleasePolicy']).toEqual(before);
      expect(await lastAct()).toMatchObject({ action: 'REJECT_RELEASE_POLICY', after: { proposal: id } });
      expect(codeOf(await decide('approve', id, otherAdmin))).toEqual([['NOT_FOUND', 'proposalId']]);
    }
  });

  test('is not approved in the place of the one that the person has seen', async () => {
    await wasSet();
    const seen = await proposed({ maximumFaultyVehicles: 4 });
    const present = await proposed({ maximumFaultyVehicles: 400 });
    expect(codeOf(await decide('approve', seen, flags.reviewer))).toEqual([['NOT_FOUND', 'proposalId']]);
    expect((await read()).proposal?.id).toBe(present);
  });

  test('ends when a policy takes effect meanwhile', async () => {
    await wasSet();
    const id = await proposed();
    expect((await wasSet({ maximumFaultyVehicles: 1 }, otherAdmin)).proposal).toBeNull();
    expect((await lastAct()).after).toMatchObject({ endedProposal: id });
    expect(codeOf(await decide('approve', id, flags.reviewer))).toEqual([['NOT_FOUND', 'proposalId']]);
  });

  test('ends when the present policy is set again', async () => {
    await wasSet();
    await proposed();
    expect((await wasSet()).proposal).toBeNull();
  });

  test('is not approved once its author may no longer set policies', async () => {
    await wasSet();
    const author = await addPerson(flags.prisma, 'ADMIN');
    const { proposal } = await wasSet({ maximumFaultyVehicles: 4 }, author);
    await flags.prisma.user.update({ where: { id: author.userId }, data: { role: 'WRITE' } });
    expect(codeOf(await decide('approve', proposal?.id ?? '', flags.reviewer))).toEqual([['CONFLICT', 'proposalId']]);
    await flags.prisma.user.update({ where: { id: author.userId }, data: { role: 'ADMIN', isActive: false } });
    expect(codeOf(await decide('approve', proposal?.id ?? '', flags.reviewer))).toEqual([['CONFLICT', 'proposalId']]);
    expect(await decide('reject', proposal?.id ?? '', flags.reviewer)).toMatchObject({ errors: [] });
  });

  test('is neither proposed nor approved by somebody whose account says otherwise than the session', async () => {
    await wasSet();
    const former = await addPerson(flags.prisma, 'ADMIN');
    await flags.prisma.user.update({ where: { id: former.userId }, data: { role: 'READ' } });
    expect(codeOf(await set({ maximumFaultyVehicles: 4 }, former))).toEqual([['FORBIDDEN', undefined]]);
    const id = await proposed();
    expect(codeOf(await decide('approve', id, former))).toEqual([['FORBIDDEN', undefined]]);
    expect((await read()).proposal?.id).toBe(id);
  });

  test('is one, where two people set one at the same time', async () => {
    await wasSet();
    const answers = await Promise.all([
      wasSet({ maximumFaultyVehicles: 4 }),
      wasSet({ maximumFaultyVehicles: 5 }, otherAdmin),
    ]);
    const ids = answers.map(({ proposal }) => proposal?.id);
    expect(new Set(ids).size).toBe(2);
    expect(ids).toContain((await read()).proposal?.id);
  });
});
