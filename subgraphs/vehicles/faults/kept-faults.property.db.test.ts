/**
 * Laws of the faults that are kept of a vehicle, after any sequence of reports: a fault by which a release under way
 * decides is lost to none but other such faults, and no cause has more rows than its limit.
 */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Client } from 'pg';
import { rounds } from '../../../core/testing/rounds.ts';
import { FAULT_KINDS, MAX_REPORTED_FAULTS, isCausedByPrograms } from '../../../core/wire/vehicle/fault.ts';
import { FAULT_LIMITS } from '../../shared/between-subgraphs/stored-faults.ts';
import { rowsRead } from '../../shared/testing/query-plans.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { watchDatabase } from '../../shared/testing/watched-database.ts';
import type { VehicleFaultRecord } from './fault.ts';
import { faultsOfVehicles, writeFaults } from './fault-store.ts';

const VIN = 'KMHL14JA5PA000001';
/** The flags that have had a release, which began at revision 6. That of the first is under way. */
const RELEASED = ['flag_0', 'flag_1'];
const STARTED_REVISION = 6;
/** The environment's revision. A fault under a later one is of a history that a restore has ended, or a lie. */
const PRESENT_REVISION = 20;

let database: TestDatabase;
const prisma = () => database.database.prisma;

beforeAll(async () => {
  database = await createTestDatabase();
  await prisma().environment.update({ where: { name: 'production' }, data: { revision: PRESENT_REVISION } });
  for (const [place, key] of RELEASED.entries()) {
    const isUnderWay = place === 0;
    const flag = await prisma().flag.create({
      data: {
        ...{ key, name: key, type: 'boolean', defaultValue: { value: false } },
        ...{ safetyLevel: 'ASIL-B', environment: 'production' },
      },
    });
    await prisma().release.create({
      data: {
        ...{ flagId: flag.id, ring: randomUUID(), environment: 'production', stages: [], content: {} },
        ...{ status: isUnderWay ? 'running' : 'completed', stage: 0, percentage: 1, revision: STARTED_REVISION },
        ...{ maximumFaultyVehicles: 3, maximumFaultyPercent: 1, startedRevision: STARTED_REVISION },
        ...(isUnderWay ? { dueAt: new Date() } : { endedAt: new Date() }),
      },
    });
  }
});
beforeEach(async () => {
  await prisma().vehicle.deleteMany();
  await prisma().vehicle.create({
    data: { vin: VIN, model: 'EV9', swVersion: '2.5.0', region: 'EU', status: 'offline' },
  });
});
afterAll(() => database.drop());

const isDecisive = ({ flagKey, revision }: VehicleFaultRecord) =>
  flagKey === RELEASED[0] && revision >= STARTED_REVISION && revision <= PRESENT_REVISION;
const nameOf = ({ flagKey, revision, kind }: VehicleFaultRecord) => `${flagKey} ${revision} ${kind}`;
/** Gives the names of faults of each cause: those that programs cause, and all others. */
const byCause = (faults: Iterable<VehicleFaultRecord>) =>
  [true, false].map(
    (isOfPrograms) => new Set([...faults].filter(({ kind }) => isCausedByPrograms(kind) === isOfPrograms).map(nameOf)),
  );

const fault = fc.record({
  flagKey: fc.oneof(
    fc.constantFrom(...RELEASED),
    fc.nat(80).map((n) => `flag_${n}`),
  ),
  revision: fc.integer({ min: STARTED_REVISION - 2, max: STARTED_REVISION + 20 }),
  kind: fc.constantFrom(...FAULT_KINDS),
  environment: fc.constant('production' as const),
  message: fc.constant('It failed.'),
  occurredAt: fc.constant(new Date('2026-11-01T10:00:00Z')),
});
const report = fc.uniqueArray(fault, {
  minLength: 1,
  maxLength: MAX_REPORTED_FAULTS,
  selector: nameOf,
  size: 'max',
});

test('faults that decide on a release are lost to none but one another, whatever is reported', async () => {
  await fc.assert(
    fc
      .asyncProperty(fc.array(report, { minLength: 2, maxLength: 8, size: 'max' }), async (reports) => {
        const decisive: VehicleFaultRecord[] = [];
        for (const faults of reports) {
          expect(await writeFaults(prisma(), [{ vin: VIN, faults }])).toEqual(new Set([VIN]));
          decisive.push(...faults.filter(isDecisive));
          const kept = (await faultsOfVehicles(prisma(), [VIN])).get(VIN)!;
          const [all, keptDecisive] = [byCause(kept), byCause(kept.filter(isDecisive))];
          for (const [cause, reported] of byCause(decisive).entries()) {
            const most = FAULT_LIMITS.faultsOfVehicle;
            expect(all[cause]!.size).toBeLessThanOrEqual(most);
            expect(keptDecisive[cause]!.size).toBe(Math.min(most, reported.size));
          }
          // The decisive faults of the last report are among them.
          expect(kept.map(nameOf)).toEqual(expect.arrayContaining(faults.filter(isDecisive).map(nameOf)));
        }
      })
      .beforeEach(async () => void (await prisma().vehicleFault.deleteMany())),
    { numRuns: rounds(4, 60) },
  );
});

test('a full report about other flags leaves the one decisive fault of before', async () => {
  const base = { environment: 'production' as const, message: 'It failed.', occurredAt: new Date() };
  const ofProgram = (flagKey: string, revision: number) =>
    ({ ...base, flagKey, revision, kind: 'reported_by_program' }) as const;
  const write = (...faults: VehicleFaultRecord[]) => writeFaults(prisma(), [{ vin: VIN, faults }]);
  await write(ofProgram('flag_0', 7), ofProgram('flag_0', 5), ofProgram('flag_1', 7));
  for (const from of [100, 200])
    await write(...Array.from({ length: MAX_REPORTED_FAULTS }, (_, n) => ofProgram(`flag_${from + n}`, 1)));
  const kept = (await faultsOfVehicles(prisma(), [VIN])).get(VIN)!;
  expect(kept).toHaveLength(FAULT_LIMITS.faultsOfVehicle);
  expect(kept.filter(({ flagKey }) => RELEASED.includes(flagKey)).map(nameOf)).toEqual([
    nameOf(ofProgram('flag_0', 7)),
  ]);
});

test('the work for reports of vehicles whose rooms are full grows with their number alone', async () => {
  const watched = await watchDatabase(database.url);
  const client = new Client({ connectionString: database.url });
  await client.connect();
  const vinOf = (n: number) => `KMHL14JA6PA${String(n).padStart(6, '0')}`;
  const reports = (vehicles: number, faultsOfEach: number, prefix: string) =>
    Array.from({ length: vehicles }, (_, n) => ({
      vin: vinOf(n),
      faults: Array.from({ length: faultsOfEach }, (_fault, at) => ({
        ...{ environment: 'production' as const, flagKey: `${prefix}_${at}`, revision: 7, occurredAt: new Date() },
        ...{ kind: 'reported_by_program' as const, message: 'It failed.' },
      })),
    }));
  const most = 120;
  try {
    await prisma().vehicle.createMany({
      data: Array.from({ length: most }, (_, n) => ({
        ...{ vin: vinOf(n), model: 'EV9', swVersion: '2.5.0', region: 'EU', status: 'offline' },
      })),
    });
    await writeFaults(prisma(), reports(most, FAULT_LIMITS.faultsOfVehicle, 'kept'));
    const workFor = async (vehicles: number) => {
      const from = watched.statements.length;
      await writeFaults(watched.prisma, reports(vehicles, 2, `new_${vehicles}`));
      const written = watched.statements.slice(from).filter(({ query }) => query.includes('INTO vehicle_faults'));
      expect(written).toHaveLength(1);
      // The faults are known by now, and the same statement about others does the same work.
      await prisma().vehicleFault.deleteMany({ where: { flagKey: { startsWith: 'new_' } } });
      return rowsRead(client, written[0]!);
    };
    const [few, many] = [await workFor(most / 4), await workFor(most)];
    expect(many / few).toBeLessThan(6);
  } finally {
    await client.end();
    await watched.close();
  }
});
