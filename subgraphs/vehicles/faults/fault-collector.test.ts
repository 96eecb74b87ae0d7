import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { FaultCollector } from './fault-collector.ts';
import { FAULT_LIMITS } from '../../shared/between-subgraphs/stored-faults.ts';
import type { FaultReport } from './fault.ts';

const vin = (n: number) => `KMH${String(n).padStart(14, '0')}`;
const report = (n: number, revisions: readonly number[] = [1]): FaultReport => ({
  vin: vin(n),
  faults: revisions.map((revision) => ({
    ...{ environment: 'production', flagKey: 'eco', revision, kind: 'restarts', message: `first of ${revision}` },
    occurredAt: new Date(0),
  })),
});
const range = (length: number, from = 1) => Array.from({ length }, (_, n) => from + n);

/** The reports that were written, statement by statement. */
let written: (readonly FaultReport[])[];
let fails = false;
const collecting = (limits = {}) =>
  new FaultCollector(
    (reports) => {
      written.push(reports);
      return fails ? Promise.reject(new Error('down')) : Promise.resolve(new Set(reports.map((one) => one.vin)));
    },
    { windowMs: 250, batch: 100, timeoutMs: 10_000, held: 1_000, ...limits },
  );
const pass = (milliseconds: number) => jest.advanceTimersByTimeAsync(milliseconds);
const codeOf = (answer: Promise<unknown>) =>
  answer.then(
    () => null,
    (error: { code: string; details: object }) => ({ code: error.code, ...error.details }),
  );

beforeEach(() => {
  jest.useFakeTimers();
  [written, fails] = [[], false];
});
afterEach(() => {
  jest.useRealTimers();
});

test('reports of a quarter of a second share one statement', async () => {
  const collector = collecting();
  const answers = range(50).map((n) => collector.add(report(n)));
  await pass(249);
  expect(written).toEqual([]);
  await pass(1);
  expect(await Promise.all(answers)).toEqual(answers.map(() => true));
  expect(written.map((reports) => reports.length)).toEqual([50]);
});

test('reports of one vehicle that wait together are one, with each fault once and no more than are kept', async () => {
  const collector = collecting({ batch: 1_000 });
  const again = { ...report(1), faults: report(1).faults.map((fault) => ({ ...fault, message: 'second' })) };
  const answers = [collector.add(report(1, range(30))), collector.add(again), collector.add(report(1, range(40, 31)))];
  await pass(250);
  expect(await Promise.all(answers)).toEqual([true, true, true]);
  const [[merged]] = written as [[FaultReport]];
  expect(merged.faults).toHaveLength(FAULT_LIMITS.faultsOfVehicle);
  expect(merged.faults.at(-1)).toMatchObject({ revision: 70, message: 'first of 70' });
});

test('what does not fit into the queue is refused with a time to come back, and so is what could not be written', async () => {
  const collector = collecting({ held: 60 });
  fails = true;
  const waiting = codeOf(collector.add(report(1, range(50))));
  expect(await codeOf(collector.add(report(2, range(50))))).toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  expect(collector.load()).toMatchObject({ held: 50, capacity: 60 });
  await pass(250);
  expect(await waiting).toEqual({ code: 'SERVICE_UNAVAILABLE', retryAfter: 5 });
  fails = false;
  const later = collector.add(report(2, range(50)));
  await pass(250);
  expect(await later).toBe(true);
});
