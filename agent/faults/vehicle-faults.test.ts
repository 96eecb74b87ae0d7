import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { FAULT_KINDS, isCausedByPrograms, type FaultKind } from '../../core/wire/vehicle/fault.ts';
import { nodeFileSystem, type FileSystem } from '../store/files/durable-file.ts';
import { stateOf, testFlag } from '../testing/held-flags.ts';
import { MAX_KEPT_FAULTS, MAX_PROGRAM_FAULTS } from './fault-log.ts';
import { VehicleFaults } from './vehicle-faults.ts';

/** Gives the faults of a vehicle that keeps them in memory, or in a file beside `databaseFile`, and its clock. */
function newFaults(databaseFile = '', files: FileSystem = nodeFileSystem) {
  const clock = { runningMs: 0, seconds: () => 1 };
  const lines: string[] = [];
  const faults = new VehicleFaults({
    databaseFile,
    files,
    log: (_level, line) => void lines.push(line),
    ageingClock: clock,
    retryMs: 1_000,
    happened: () => undefined,
  });
  let last = 0;
  const add = (kind: FaultKind, times: number) => {
    for (let n = 0; n < times; n++) faults.add({ flagKey: `flag_${(last += 1)}`, revision: 1, kind, message: kind });
  };
  const kept = (kind: FaultKind) => faults.waiting.filter((fault) => fault.kind === kind).length;
  return { faults, clock, add, kept, lines };
}

const OWN_SHARE = MAX_KEPT_FAULTS - MAX_PROGRAM_FAULTS;
const ofPrograms = FAULT_KINDS.filter(isCausedByPrograms);

describe('programs that flood the agent with faults', () => {
  test.each(FAULT_KINDS.filter((kind) => !isCausedByPrograms(kind)))(
    'do not crowd out those of the kind %s, also over hours without a connection',
    (own) => {
      const { faults, clock, add, kept } = newFaults();
      for (let window = 0; window < 20; window++) {
        for (const kind of ofPrograms) add(kind, 1_000);
        add(own, OWN_SHARE / 4);
        for (const kind of ofPrograms) add(kind, 1_000);
        expect(kept(own)).toBe(Math.min(OWN_SHARE, (window + 1) * (OWN_SHARE / 4)));
        expect(faults.waiting.length).toBeLessThanOrEqual(MAX_KEPT_FAULTS);
        clock.runningMs += 600_000;
      }
    },
  );

  test('have each new fault counted that is not kept', () => {
    const { faults, add, kept } = newFaults();
    add('reported_by_program', 1_000);
    expect(kept('reported_by_program')).toBe(MAX_PROGRAM_FAULTS);
    expect(faults.status()).toMatchObject({ waiting: MAX_PROGRAM_FAULTS, dropped: 1_000 - MAX_PROGRAM_FAULTS });
  });

  test('have the log say once in ten minutes that new faults are only counted, and which was the first', () => {
    const { clock, add, lines } = newFaults();
    const said = () => lines.filter((line) => /only counted/.test(line));
    add('reported_by_program', 1_000);
    expect(said()).toEqual([
      expect.stringMatching(`: flag_${MAX_PROGRAM_FAULTS + 1} at revision 1: reported_by_program`),
    ]);
    clock.runningMs += 600_000;
    add('reported_by_program', 1_000);
    expect(said()).toHaveLength(2);
  });

  describe('where a release is changing a flag', () => {
    const release = { id: 'r', percentage: 100, next: { defaultValue: true, rules: [] } };
    const states = {
      released: stateOf([testFlag('lane_keep', { release })]),
      settled: stateOf([testFlag('lane_keep')]),
    };
    const own = (kind: FaultKind, revision = 1) => ({ flagKey: 'lane_keep', revision, kind, message: 'dark' });

    test.each(ofPrograms)('do not hide its first fault of the kind %s, whatever comes before and after it', (kind) => {
      const { faults, clock, add } = newFaults();
      faults.replaced(states.released);
      add('reported_by_program', 1_000);
      faults.add(own(kind));
      for (let window = 0; window < 20; window++) {
        expect(faults.waiting).toContainEqual(expect.objectContaining(own(kind)));
        expect(faults.waiting.length).toBeLessThanOrEqual(MAX_KEPT_FAULTS);
        clock.runningMs += 600_000;
        for (const noise of ofPrograms) add(noise, 1_000);
      }
    });

    test('do not hide its fault of before a start from the control plane, whatever the start adds', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'fleetflag-faults-'));
      const file = join(folder, 'flags.db');
      try {
        const before = newFaults(file);
        before.faults.replaced(states.released);
        before.faults.add(own('restarts'));
        before.add('restarts', OWN_SHARE - 1);
        before.add('reported_by_program', MAX_PROGRAM_FAULTS);
        await before.faults.close();
        const [seat] = stateOf([testFlag('seat_heat')]).flags.values();
        const unserved = { ...seat!, held: { ...seat!.held, fault: 'It has a rule of a newer version.' } };
        const flags = new Map([...states.released.flags, ['seat_heat', unserved]]);
        let writes = 0;
        const { faults, kept } = newFaults(file, {
          ...nodeFileSystem,
          createFolder: (path) => {
            writes += 1;
            return nodeFileSystem.createFolder(path);
          },
          flushFolder: async (path) => {
            await nodeFileSystem.flushFolder(path);
            writes -= 1;
          },
        });
        await faults.load({ ...states.released, flags }, []);
        // A program may fail at once. What this start has added must be on disk by then.
        expect(writes).toBe(0);
        expect(kept('not_servable')).toBe(1);
        expect(faults.waiting).toHaveLength(MAX_KEPT_FAULTS);
        expect(faults.waiting).toContainEqual(expect.objectContaining(own('restarts')));
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    test('get no more room by it: one fault of it in ten minutes, and none that is not of its definition', () => {
      const { faults, clock, add } = newFaults();
      const ofFlag = () => faults.waiting.filter(({ flagKey }) => flagKey === 'lane_keep').length;
      faults.replaced(states.released);
      add('reported_by_program', 1_000);
      faults.add(own('reported_by_program', 2));
      expect(ofFlag()).toBe(0);
      for (const kind of ofPrograms) faults.add(own(kind));
      expect(ofFlag()).toBe(1);
      clock.runningMs += 600_000;
      add('reported_by_program', 1_000);
      for (const kind of ofPrograms) faults.add(own(kind));
      expect(ofFlag()).toBe(2);
      faults.replaced(states.settled);
      // Without the release they make room as the others do.
      for (let window = 0; window < 3; window++) {
        clock.runningMs += 600_000;
        add('reported_by_program', 1_000);
      }
      expect(ofFlag()).toBe(0);
    });
  });
});
