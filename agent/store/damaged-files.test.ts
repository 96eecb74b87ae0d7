/**
 * Files that were cut off, or in which bits have flipped, in any number and of any generation.
 */
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import initSqlJs from 'sql.js';
import { isMissingFile } from '../../core/caught-error.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { rounds } from '../../core/testing/rounds.ts';

const FILES = [
  'flags.db',
  'flags.db.previous',
  'flags.db.next',
  'flags.db.queue',
  'flags.db.queue.previous',
  'flags.db.faults',
  'flags.db.faults.previous',
] as const;
const NEVER_MS = 600_000;

let plane: TestControlPlane;
let vehicle: TestVehicle;
let sound: string;
/** The value of each flag at each revision. */
const issued = new Map<string, Set<unknown>>();

async function put(key: string, defaultValue: string): Promise<void> {
  await plane.put(key, { type: 'string', defaultValue });
  issued.set(key, (issued.get(key) ?? new Set()).add(defaultValue));
}

beforeAll(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  for (let flag = 0; flag < 8; flag++) await put(`flag_${flag}`, `first ${'x'.repeat(flag * 200)}`);
  const agent = await vehicle.start({ timings: { metricsIntervalMs: NEVER_MS, metricsWriteMs: 1 } });
  await agent.ready();
  sound = join(vehicle.folder, 'sound');
  await mkdir(sound);
  for (const round of [1, 2]) {
    agent.track('round', round, { flagKey: 'flag_1', tags: { round } });
    const journal = `${vehicle.databaseFile}.queue`;
    await eventually(
      async () => (await readFile(journal, 'utf8').catch(() => '')).includes(`"value":${round}`),
      'it is in the journal',
    );
    if (round === 1) await put('flag_2', 'second');
    await eventually(() => agent.status().revision === plane.revision, 'the change is on disk');
  }
  // The files are those that a power cut in the middle of the next write leaves.
  for (const name of FILES) {
    const source = name === 'flags.db.next' ? 'flags.db' : name;
    // The faults are written after the state that they are about, and between two renames a file is missing.
    await eventually(
      () =>
        copyFile(join(vehicle.folder, source), join(sound, name)).then(
          () => true,
          (error: unknown) => {
            if (isMissingFile(error)) return false;
            throw error;
          },
        ),
      `${source} is there`,
    );
  }
  await agent.close();
  await plane.stop();
}, 60_000);

afterAll(async () => {
  await vehicle?.dispose();
  await plane?.stop();
});

const damage = fc.record({
  file: fc.constantFrom(...FILES),
  kind: fc.constantFrom('cut' as const, 'bit' as const, 'bytes' as const, 'gone' as const),
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  noise: fc.uint8Array({ minLength: 1, maxLength: 64 }),
});

/** Damages the bytes of a file. Gives what is left of them; null where the file is gone. */
function damaged(bytes: Buffer, kind: 'cut' | 'bit' | 'bytes' | 'gone', at: number, noise: Uint8Array): Buffer | null {
  const offset = Math.floor(at * bytes.length);
  if (kind === 'gone') return null;
  if (kind === 'cut') return bytes.subarray(0, offset);
  const copy = Buffer.from(bytes);
  if (kind === 'bit') copy[offset]! ^= 1 << (noise[0]! & 7);
  else copy.set(noise.subarray(0, copy.length - offset), offset);
  return copy;
}

/** A folder of files of which some are damaged. */
async function damagedFolder(
  name: string,
  damages: readonly { file: string; kind: 'cut' | 'bit' | 'bytes' | 'gone'; at: number; noise: Uint8Array }[],
): Promise<string> {
  const folder = join(vehicle.folder, name);
  await mkdir(folder);
  for (const file of FILES) {
    let bytes: Buffer | null = await readFile(join(sound, file));
    for (const each of damages)
      if (each.file === file && bytes !== null && bytes.length > 0)
        bytes = damaged(bytes, each.kind, each.at, each.noise);
    if (bytes !== null) await writeFile(join(folder, file), bytes);
  }
  return folder;
}

const OFFLINE_CASES = rounds(20, 300);
const ONLINE_CASES = rounds(5, 60);

let cases = 0;

test(`give no wrong value and no wrong measurement, and the next write makes them whole, in ${OFFLINE_CASES} cases`, async () => {
  const sql = await initSqlJs();
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 5 }), async (damages) => {
      const folder = await damagedFolder(`case-${++cases}`, damages);
      const databaseFile = join(folder, 'flags.db');
      const agent = await vehicle.start({
        databaseFile,
        url: 'ws://127.0.0.1:1/graphql',
        timings: { metricsIntervalMs: NEVER_MS },
      });
      const { revision, evaluatedRevision, flags, metrics } = agent.status();
      expect(revision).toBeLessThanOrEqual(plane.revision);
      expect(evaluatedRevision).toBe(revision);
      expect(metrics.queued).toBeLessThanOrEqual(2);
      const values = agent.flagKeys().map((key) => [key, agent.evaluate(key)!.evaluation] as const);
      for (const [key, { value, reason }] of values) if (reason !== 'STALE') expect(issued.get(key)).toContain(value);
      await agent.close();
      const written = (await readdir(folder)).includes('flags.db') ? await readFile(databaseFile) : null;
      if (written === null) return expect(flags).toBe(0);
      if (flags === 0) return;
      const database = new sql.Database(written);
      expect(database.exec('PRAGMA integrity_check')[0]!.values).toEqual([['ok']]);
      const measured =
        database.exec(
          "SELECT flag_key, value, tags FROM metrics_queue WHERE metric_name = 'round' AND sent = 0 ORDER BY id",
        )[0]?.values ?? [];
      for (const [flagKey, value, tags] of measured)
        expect([flagKey, tags]).toEqual(['flag_1', `{"round":${String(value)}}`]);
      database.close();
    }),
    { numRuns: OFFLINE_CASES },
  );
}, 120_000);

test('the files are whole again once there is a network, whatever was damaged', async () => {
  await plane.listen();
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 2, maxLength: 6 }), async (damages) => {
      const folder = await damagedFolder(`case-${++cases}`, damages);
      const databaseFile = join(folder, 'flags.db');
      const agent = await vehicle.start({ databaseFile });
      await eventually(
        () =>
          agent.status().connected &&
          agent.status().revision === plane.revision &&
          agent.status().staleFlags === 0 &&
          agent.inTouch,
        'it has everything',
      );
      expect(new Map(agent.flagKeys().map((key) => [key, agent.evaluate(key)!.definition]))).toEqual(
        plane.definitions(),
      );
      await agent.close();
      const offline = await vehicle.start({ databaseFile, url: 'ws://127.0.0.1:1/graphql' });
      expect(offline.status()).toMatchObject({
        ready: true,
        revision: plane.revision,
        staleFlags: 0,
        store: { source: 'current', faults: [] },
      });
      await offline.close();
    }),
    { numRuns: ONLINE_CASES },
  );
}, 120_000);
