import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/access/caller.ts';
import { createVehicleTokens } from '../../../core/credentials/vehicle-token.ts';
import { refusal, user, type Ask } from '../../shared/testing/asking.ts';
import { FleetUnderTest } from '../testing/fleet-under-test.ts';
import { ISSUE_TOKEN, REGISTER_VEHICLES } from '../testing/vehicle-operations.ts';

const WRITE = user('WRITE');

type Issued = { issueVehicleToken: { token: string } };

const tokens = createVehicleTokens('a secret of at least thirty-two characters');
let fleet: FleetUnderTest;
let ask: Ask;
let writer: Caller;

let counter = 0;
/** Gives an unused VIN. */
const newVin = () => `KMH${String(++counter).padStart(14, '0')}`;
const registration = (vin = newVin()) => ({ vin, model: 'Ioniq 5', swVersion: '2.5.0', region: 'EU' });
const lastAudit = () => fleet.prisma.auditLog.findFirst({ orderBy: { chainPosition: 'desc' } });
const auditRows = () => fleet.prisma.auditLog.count();

beforeAll(async () => {
  fleet = await FleetUnderTest.start();
  ({ ask } = fleet);
  const { id } = await fleet.prisma.user.create({
    data: { email: 'w@example.com', name: 'W', passwordHash: '-', role: 'WRITE' },
  });
  writer = user('WRITE', id);
});

afterAll(() => fleet.drop());

describe("revoking a vehicle's tokens", () => {
  const REVOKE = 'mutation($vin: String!) { revokeVehicleTokens(vin: $vin) { vin tokenGeneration } }';
  const GENERATIONS =
    'query($since: DateTime!, $after: String!) { vehicleTokenGenerations(since: $since, after: $after) { vin generation raisedAt } }';
  const GATEWAY: Caller = { kind: 'gateway' };
  type Generation = { vin: string; generation: number; raisedAt: string };
  const generations = async (since: string, after: string) =>
    (await ask<{ vehicleTokenGenerations: Generation[] }>(GATEWAY, GENERATIONS, { since, after })).data
      .vehicleTokenGenerations;

  test('raises its generation, which later tokens contain, and records it', async () => {
    const { vin } = registration();
    await ask(WRITE, REGISTER_VEHICLES, { input: [registration(vin)] });
    const generationOfNewToken = async () =>
      (
        await tokens.verify(
          (await ask<Issued>(WRITE, ISSUE_TOKEN, { vin, environment: 'STAGING', days: 2 })).data.issueVehicleToken
            .token,
        )
      ).generation;
    expect(await generationOfNewToken()).toBe(0);
    for (const generation of [1, 2]) {
      expect(await ask(writer, REVOKE, { vin })).toEqual({
        data: { revokeVehicleTokens: { vin, tokenGeneration: generation } },
        errors: [],
      });
      expect(await lastAudit()).toMatchObject({
        action: 'REVOKE_VEHICLE_TOKENS',
        userId: writer.kind === 'user' ? writer.userId : null,
        afterValue: { vin, generation },
      });
      expect(await generationOfNewToken()).toBe(generation);
    }
  });

  test('by two callers at once counts both', async () => {
    const { vin } = registration();
    await ask(WRITE, REGISTER_VEHICLES, { input: [registration(vin)] });
    const answers = await Promise.all(
      [1, 2, 3].map(() => ask<{ revokeVehicleTokens: { tokenGeneration: number } }>(WRITE, REVOKE, { vin })),
    );
    expect(answers.map(({ data }) => data.revokeVehicleTokens.tokenGeneration).sort()).toEqual([1, 2, 3]);
  });

  test('of an unknown vehicle is refused, and to callers who may not write', async () => {
    const rows = await auditRows();
    expect(refusal(await ask(WRITE, REVOKE, { vin: newVin() }))).toEqual({ code: 'NOT_FOUND', field: 'vin' });
    expect(refusal(await ask(WRITE, REVOKE, { vin: 'nonsense' }))).toEqual({ code: 'BAD_USER_INPUT', field: 'vin' });
    for (const caller of [
      user('READ'),
      user('SAFETY'),
      { kind: 'vehicle', vin: newVin(), environment: 'production' } as const,
    ]) {
      expect(refusal(await ask(caller, REVOKE, { vin: newVin() }))).toEqual({ code: 'FORBIDDEN' });
    }
    expect(await auditRows()).toBe(rows);
  });

  test('is found behind the newest one before, although the clock of the database has gone back since', async () => {
    const [earlier, later] = [newVin(), newVin()];
    await ask(WRITE, REGISTER_VEHICLES, { input: [earlier, later].map((vin) => registration(vin)) });
    await ask(WRITE, REVOKE, { vin: earlier });
    await fleet.prisma
      .$executeRaw`UPDATE vehicles SET tokens_revoked_at = now() + interval '1 hour' WHERE vin = ${earlier}`;
    const [newest] = (await generations('1970-01-01T00:00:00.000Z', '')).slice(-1);
    await ask(WRITE, REVOKE, { vin: later });
    const overlap = new Date(new Date(newest!.raisedAt).getTime() - 30_000).toISOString();
    expect((await generations(overlap, '')).map(({ vin }) => vin)).toEqual(expect.arrayContaining([earlier, later]));
    await fleet.prisma.$executeRaw`UPDATE vehicles SET tokens_revoked_at = now() WHERE tokens_revoked_at > now()`;
  });

  test('is given to gateways only, page by page', async () => {
    const vins = [newVin(), newVin(), newVin()];
    await ask(WRITE, REGISTER_VEHICLES, { input: vins.map((vin) => registration(vin)) });
    const [last] = (await generations('1970-01-01T00:00:00.000Z', '')).slice(-1);
    const from = [last?.raisedAt ?? '1970-01-01T00:00:00.000Z', last?.vin ?? ''] as const;
    for (const vin of vins) await ask(WRITE, REVOKE, { vin });
    // Two revocations have the same time.
    await fleet.prisma
      .$executeRaw`UPDATE vehicles SET tokens_revoked_at = (SELECT tokens_revoked_at FROM vehicles WHERE vin = ${vins[2]}) WHERE vin = ${vins[1]}`;
    const answer = await generations(...from);
    expect(answer.map(({ vin, generation }) => ({ vin, generation }))).toEqual(
      vins.map((vin) => ({ vin, generation: 1 })),
    );
    expect(await generations(answer[1]!.raisedAt, answer[1]!.vin)).toEqual([answer[2]]);
    expect(await generations(answer[2]!.raisedAt, answer[2]!.vin)).toEqual([]);
    for (const caller of [user('ADMIN'), { kind: 'vehicle', vin: vins[0]!, environment: 'production' } as const]) {
      expect(refusal(await ask(caller, GENERATIONS, { since: from[0], after: '' }))).toEqual({ code: 'FORBIDDEN' });
    }
  });
});
