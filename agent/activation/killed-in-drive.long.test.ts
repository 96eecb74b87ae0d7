/** Kills the agent at random moments of a drive, while flags change: the drive's values hold after each start. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { rounds } from '../../core/testing/rounds.ts';
import { ON } from '../testing/rules.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { KillableProcess, VehicleProgram } from '../testing/killable-vehicle.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import type { LoadedReport, VehicleOptions } from '../testing/vehicle-process.ts';

let plane: TestControlPlane;
let program: VehicleProgram;
let vehicle: TestVehicle;
/** Its abort ends the changes of flags (`changeFlags`). */
const changing = new AbortController();
/** The processes of the test, which a failure may leave running. */
const started: KillableProcess[] = [];

beforeAll(async () => {
  plane = await TestControlPlane.start();
  program = await VehicleProgram.build();
  vehicle = await TestVehicle.create(plane);
}, 60_000);

afterAll(async () => {
  changing.abort();
  for (const each of started) if (!each.ended) await each.kill();
  await vehicle?.dispose();
  await program?.dispose();
  await plane?.stop();
});

function start(over: Partial<VehicleOptions> = {}): KillableProcess {
  const { tokenFile, databaseFile, keysFile } = vehicle;
  const run = new KillableProcess(program, [{ url: plane.url, tokenFile, databaseFile, keysFile, round: 1, ...over }]);
  started.push(run);
  return run.begin();
}

/** Changes flags until `signal`, each to a value that is its revision. */
async function changeFlags(signal: AbortSignal): Promise<void> {
  for (let n = 0; !signal.aborted; n++) {
    if (n % 5 === 4) await plane.remove('held');
    else await plane.put('held', { type: 'number', defaultValue: plane.revision + 1, activation: 'NEXT_DRIVE' });
    await plane.put('free', { type: 'number', defaultValue: plane.revision + 1 });
    await pause(25);
  }
}

test('a drive that was reported holds its values over any number of kills, and ends with the report that it is over', async () => {
  await plane.put('held', { type: 'number', defaultValue: 1, rules: [], activation: 'NEXT_DRIVE' });
  await plane.put('named', { rules: [ON], activation: 'PARKED' });
  const first = start();
  await first.saying('revision', (revision) => Number(revision) === plane.revision);
  await first.kill();
  const driving = start({ report: { ignition: 'on', moving: true } });
  await driving.saying('reported');
  const changes = changeFlags(changing.signal);
  let last = driving;
  let newest = 0;
  for (let round = 0; round < rounds(4, 40); round++) {
    const stored = newest;
    await last.saying('revision', (revision) => Number(revision) > stored);
    await pause(round * 7);
    newest = Number(last.said('revision'));
    await last.kill();
    last = start();
    await last.saying('loaded');
    const { ready, revision, faults, flags } = JSON.parse(last.said('loaded')!) as LoadedReport;
    expect({ ready, faults }).toEqual({ ready: true, faults: [] });
    expect(revision).toBeGreaterThanOrEqual(newest);
    const held = flags.filter(([key]) => key !== 'free').map(([key, at, value]) => [key, at, value]);
    expect(held).toEqual([
      ['held', 1, 1],
      ['named', 2, true],
    ]);
    newest = revision;
  }
  changing.abort();
  await changes;
  await plane.put('held', { type: 'number', defaultValue: 7_777, activation: 'NEXT_DRIVE' });
  await last.saying('revision', (revision) => Number(revision) === plane.revision);
  await last.kill();
  const parked = start({ report: { ignition: 'off', moving: false } });
  await parked.saying('reported');
  await parked.kill();
  const after = start();
  await after.saying('loaded');
  const { flags } = JSON.parse(after.said('loaded')!) as LoadedReport;
  expect(flags.find(([key]) => key === 'held')?.[2]).toBe(7_777);
  await after.kill();
}, 300_000);
