import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/access/caller.ts';
import { createVehicleTokens } from '../../../core/credentials/vehicle-token.ts';
import { ANONYMOUS, refusal, user, type Ask } from '../../shared/testing/asking.ts';
import { FleetUnderTest } from '../testing/fleet-under-test.ts';
import { ISSUE_TOKEN, REGISTER_VEHICLES, VEHICLE_BY_VIN } from '../testing/vehicle-operations.ts';

const WRITE = user('WRITE');

type Registered = { registerVehicles: { vin: string }[] };
type Found = { vehicle: unknown };
type Issued = { issueVehicleToken: { token: string; expiresAt: string; vehicle: unknown } };

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

describe('registering vehicles', () => {
  test('gives new vehicles as offline, in the order of the input, and records who did it', async () => {
    const input = [registration(), registration(), registration()].reverse();
    const { data, errors } = await ask<Registered>(writer, REGISTER_VEHICLES, { input });
    expect(errors).toEqual([]);
    expect(data.registerVehicles).toEqual(
      input.map((vehicle) => ({
        ...vehicle,
        status: 'OFFLINE',
        environment: null,
        lastSeenAt: null,
        appliedRevision: null,
      })),
    );
    expect(await lastAudit()).toMatchObject({
      action: 'REGISTER_VEHICLES',
      userId: writer.kind === 'user' ? writer.userId : null,
      ipAddress: '192.0.2.7',
      afterValue: { count: 3, created: 3, updated: 0, vins: input.map(({ vin }) => vin) },
    });
  });

  test('stores model, version and region without surrounding blanks, and finds them with or without', async () => {
    const { vin } = registration();
    await ask(WRITE, REGISTER_VEHICLES, { input: [{ vin, model: ' Blank 1', swVersion: '2.5.0\n', region: 'EU ' }] });
    const { data } = await ask(
      user('READ'),
      'query ($filter: VehicleFilter) { vehicles(filter: $filter) { nodes { vin model swVersion region } } }',
      { filter: { model: 'Blank 1 ', region: ' EU' } },
    );
    expect(data).toEqual({ vehicles: { nodes: [{ vin, model: 'Blank 1', swVersion: '2.5.0', region: 'EU' }] } });
  });

  test('updates the registered facts of a known vehicle and nothing else', async () => {
    const vehicle = registration();
    await ask(WRITE, REGISTER_VEHICLES, { input: [vehicle] });
    await fleet.prisma.vehicle.update({
      where: { vin: vehicle.vin },
      data: { status: 'online', appliedRevision: 7n, agentCpuPercent: 1.25, cacheSizeMb: 0.5, agentMemoryMb: 58 },
    });
    const { data } = await ask<Registered>(WRITE, REGISTER_VEHICLES, { input: [{ ...vehicle, swVersion: '2.6.0' }] });
    expect(data.registerVehicles).toMatchObject([{ swVersion: '2.6.0', status: 'ONLINE', appliedRevision: 7 }]);
    expect((await ask<Found>(WRITE, VEHICLE_BY_VIN, { vin: vehicle.vin })).data.vehicle).toMatchObject({
      agentCpuPercent: 1.25,
      cacheSizeMb: 0.5,
      agentMemoryMb: 58,
    });
  });

  test('accepts 1,000 vehicles at once and refuses 1,001', async () => {
    const input = Array.from({ length: 1001 }, () => registration());
    const {
      errors: [error],
    } = await ask(WRITE, REGISTER_VEHICLES, { input });
    expect(error?.extensions).toEqual({ code: 'LIMIT_EXCEEDED', field: 'input', limit: 1_000 });
    const { data } = await ask<Registered>(WRITE, REGISTER_VEHICLES, { input: input.slice(1) });
    expect(data.registerVehicles.map(({ vin }) => vin)).toEqual(input.slice(1).map(({ vin }) => vin));
  });

  test.each([
    ['an impossible VIN', { vin: 'KMHI0000000000001' }, 'input.1.vin'],
    ['a VIN in lower case', { vin: 'kmh00000000000001' }, 'input.1.vin'],
    ['a blank model', { model: '  ' }, 'input.1.model'],
    ['the name of the partition of all other models', { model: ' * ' }, 'input.1.model'],
    ['a model that is too long', { model: 'x'.repeat(101) }, 'input.1.model'],
    ['a software version that is too long', { swVersion: '1'.repeat(51) }, 'input.1.swVersion'],
    ['an empty region', { region: '' }, 'input.1.region'],
    ['text that cannot be stored', { region: 'E\0U' }, 'input.1.region'],
  ])('refuses %s by its path and writes none of the batch', async (_, fault, field) => {
    const good = registration();
    const rows = await auditRows();
    expect(refusal(await ask(WRITE, REGISTER_VEHICLES, { input: [good, { ...registration(), ...fault }] }))).toEqual({
      code: 'BAD_USER_INPUT',
      field,
    });
    expect((await ask(WRITE, VEHICLE_BY_VIN, { vin: good.vin })).data).toEqual({ vehicle: null });
    expect(await auditRows()).toBe(rows);
  });

  test('reports every fault of a batch, and both places of a VIN that occurs twice', async () => {
    const vehicle = registration();
    const {
      errors: [error],
    } = await ask(WRITE, REGISTER_VEHICLES, {
      input: [vehicle, { ...registration('x'), region: '' }, vehicle, registration(), { ...registration(), model: '' }],
    });
    const { code, field, faults } = error?.extensions as {
      code: string;
      field: string;
      faults: { field: string; message: string }[];
    };
    expect([code, field, faults.map((fault) => fault.field)]).toEqual([
      'BAD_USER_INPUT',
      'input.1.vin',
      ['input.1.vin', 'input.1.region', 'input.2.vin', 'input.0.vin', 'input.4.model'],
    ]);
    expect(faults[2]?.message).toContain('input.0.vin');
  });

  test('does not write unchanged vehicles, and records those that it writes', async () => {
    const [same, changed, created] = [registration(), registration(), registration()];
    await ask(WRITE, REGISTER_VEHICLES, { input: [same, changed] });
    const updatedAt = async () =>
      (await fleet.prisma.vehicle.findUniqueOrThrow({ where: { vin: same.vin } })).updatedAt;
    const [rows, before] = [await auditRows(), await updatedAt()];
    const again = await ask<Registered>(WRITE, REGISTER_VEHICLES, { input: [changed, same] });
    expect(again.data.registerVehicles).toMatchObject([changed, same]);
    expect(await auditRows()).toBe(rows);
    await ask(WRITE, REGISTER_VEHICLES, { input: [created, same, { ...changed, region: 'KR' }] });
    expect((await lastAudit())?.afterValue).toEqual({
      count: 3,
      created: 1,
      updated: 1,
      vins: [created.vin, changed.vin],
    });
    expect(await updatedAt()).toEqual(before);
  });

  test('refuses an empty batch', async () => {
    expect(refusal(await ask(WRITE, REGISTER_VEHICLES, { input: [] }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'input',
    });
  });

  test('batches with the same vehicles in opposite order do not deadlock', async () => {
    const input = Array.from({ length: 50 }, () => registration());
    // Each has another version, so that every batch writes every row.
    const batch = (index: number) =>
      (index % 2 === 0 ? input : [...input].reverse()).map((vehicle) => ({ ...vehicle, swVersion: `2.${index}.0` }));
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) => ask(WRITE, REGISTER_VEHICLES, { input: batch(index) })),
    );
    expect(answers.flatMap(({ errors }) => errors)).toEqual([]);
  });

  test('is for callers who may write', async () => {
    const variables = { input: [registration()] };
    expect(refusal(await ask(ANONYMOUS, REGISTER_VEHICLES, variables))).toEqual({ code: 'UNAUTHENTICATED' });
    for (const caller of [
      user('READ'),
      user('SAFETY'),
      { kind: 'vehicle', vin: newVin(), environment: 'production' } as const,
    ]) {
      expect(refusal(await ask(caller, REGISTER_VEHICLES, variables))).toEqual({ code: 'FORBIDDEN' });
    }
    expect(
      refusal(
        await ask(
          { kind: 'apiKey', apiKeyId: null, role: 'WRITE', rateLimitPerMin: null },
          REGISTER_VEHICLES,
          variables,
        ),
      ),
    ).toBeNull();
  });
});

describe('reading a vehicle', () => {
  test('gives null for a VIN that is not registered, and refuses an invalid VIN', async () => {
    expect(await ask(user('READ'), VEHICLE_BY_VIN, { vin: newVin() })).toEqual({ data: { vehicle: null }, errors: [] });
    expect(refusal(await ask(user('READ'), VEHICLE_BY_VIN, { vin: 'nonsense' }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'vin',
    });
  });

  test('a vehicle reads itself and no other', async () => {
    const [own, other] = [registration(), registration()];
    await ask(WRITE, REGISTER_VEHICLES, { input: [own, other] });
    const vehicle: Caller = { kind: 'vehicle', vin: own.vin, environment: 'production' };
    expect((await ask<Found>(vehicle, VEHICLE_BY_VIN, { vin: own.vin })).data.vehicle).toMatchObject({ vin: own.vin });
    expect(refusal(await ask(vehicle, VEHICLE_BY_VIN, { vin: other.vin }))).toEqual({ code: 'FORBIDDEN' });
  });

  test('entities come in the requested order, unknown ones as null', async () => {
    const [first, second] = [registration(), registration()];
    await ask(WRITE, REGISTER_VEHICLES, { input: [first, second] });
    const representations = [second.vin, newVin(), 'nonsense', first.vin].map((vin) => ({
      __typename: 'Vehicle',
      vin,
    }));
    const { data, errors } = await ask<{ _entities: unknown }>(
      user('READ'),
      'query($representations: [_Any!]!) { _entities(representations: $representations) { ... on Vehicle { vin status } } }',
      { representations },
    );
    expect(errors).toEqual([]);
    expect(data._entities).toEqual([
      { vin: second.vin, status: 'OFFLINE' },
      null,
      null,
      { vin: first.vin, status: 'OFFLINE' },
    ]);
  });
});

describe("issuing a vehicle's token", () => {
  afterEach(async () => {
    const rows = await fleet.prisma.auditLog.findMany({ where: { action: 'ISSUE_VEHICLE_TOKEN' } });
    expect(
      JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)),
    ).not.toContain('eyJ');
  });

  test('gives a token for the vehicle and environment, and records both', async () => {
    const { vin } = registration();
    await ask(WRITE, REGISTER_VEHICLES, { input: [registration(vin)] });
    const { data } = await ask<Issued>(WRITE, ISSUE_TOKEN, { vin, environment: 'STAGING', days: 2 });
    const { token, expiresAt, vehicle } = data.issueVehicleToken;
    expect(vehicle).toEqual({ vin, environment: 'STAGING' });
    expect(await tokens.verify(token)).toEqual({
      caller: { kind: 'vehicle', vin, environment: 'staging' },
      expiresAt: new Date(expiresAt),
      generation: 0,
    });
    expect(Math.abs(Date.parse(expiresAt) - Date.now() - 2 * 86_400_000)).toBeLessThan(60_000);
    expect(await lastAudit()).toMatchObject({
      action: 'ISSUE_VEHICLE_TOKEN',
      afterValue: { vin, environment: 'staging', expiresAt },
    });
  });

  test('is for production and a year by default', async () => {
    const { vin } = registration();
    await ask(WRITE, REGISTER_VEHICLES, { input: [registration(vin)] });
    for (const days of ['', ', expiresInDays: null']) {
      const { data, errors } = await ask<Issued>(
        WRITE,
        `mutation { issueVehicleToken(vin: "${vin}"${days}) { token expiresAt vehicle { environment } } }`,
      );
      expect(errors).toEqual([]);
      expect(data.issueVehicleToken.vehicle).toEqual({ environment: 'PRODUCTION' });
      expect((await tokens.verify(data.issueVehicleToken.token)).caller.environment).toBe('production');
      expect(Math.abs(Date.parse(data.issueVehicleToken.expiresAt) - Date.now() - 365 * 86_400_000)).toBeLessThan(
        60_000,
      );
    }
    expect(await fleet.prisma.vehicle.findUnique({ where: { vin } })).toMatchObject({
      environment: 'production',
    });
  });

  test('a default also applies when the environment is an unset variable', async () => {
    const { vin } = registration();
    await ask(WRITE, REGISTER_VEHICLES, { input: [registration(vin)] });
    const { data, errors } = await ask<Issued>(
      WRITE,
      'mutation($vin: String!, $environment: Environment! = STAGING) { issueVehicleToken(vin: $vin, environment: $environment) { vehicle { environment } } }',
      { vin },
    );
    expect(errors).toEqual([]);
    expect(data.issueVehicleToken.vehicle).toEqual({ environment: 'STAGING' });
  });

  test.each([
    [0, 'expiresInDays'],
    [3651, 'expiresInDays'],
    [-1, 'expiresInDays'],
  ])('refuses %d days', async (days, field) => {
    const { vin } = registration();
    await ask(WRITE, REGISTER_VEHICLES, { input: [registration(vin)] });
    expect(refusal(await ask(WRITE, ISSUE_TOKEN, { vin, environment: 'STAGING', days }))).toEqual({
      code: 'BAD_USER_INPUT',
      field,
    });
  });

  test('refuses an unknown vehicle and leaves no audit row', async () => {
    const rows = await auditRows();
    expect(refusal(await ask(WRITE, ISSUE_TOKEN, { vin: newVin(), environment: 'STAGING', days: 2 }))).toEqual({
      code: 'NOT_FOUND',
      field: 'vin',
    });
    expect(refusal(await ask(WRITE, ISSUE_TOKEN, { vin: randomUUID(), environment: 'STAGING', days: 2 }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'vin',
    });
    expect(await auditRows()).toBe(rows);
  });
});
