/**
 * kill -9 at random moments, while flags and their scopes change, the vehicle becomes one of another model, and
 * measurements are taken as fast as the vehicle can. What is on disk
 * is compared with what was signed by SQLite alone, and by the next start before it connects.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { GraphQLError } from 'graphql';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import initSqlJs from 'sql.js';
import { KillableProcess, VehicleProgram } from '../testing/killable-vehicle.ts';
import { TEST_MODEL, TEST_VIN, TestControlPlane } from '../testing/control-plane.ts';
import type { ReportedBatch } from '../testing/wire-messages.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { membersOf, parseJson } from '../../core/json/json-value.ts';
import { OTHER_MODELS } from '../../core/partitions/partition.ts';
import { eventually } from '../../core/testing/eventually.ts';
import type { LoadedReport } from '../testing/vehicle-process.ts';
import { rounds } from '../../core/testing/rounds.ts';

/**
 * A kill loses nothing that the kernel has taken: what a disk does is not in question here, only its time would be
 * spent.
 */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
/**
 * Starting Node takes longer than all else: each process that is killed runs several agents, each with files of its
 * own.
 */
const AGENTS = 8;
/** Two processes at once. */
const LANES = 2;
/** Kills of each lane; all rounds kill 208 agents. */
const ROUNDS = rounds(2, 13);
const KEYS = Array.from({ length: 12 }, (_, index) => `flag_${index}`);
const MODELS = ['EV6', 'Kona', TEST_MODEL];
const SCOPES = [null, ['EV6'], ['Kona'], ['EV6', 'Kona'], ['EV6', TEST_MODEL]];
/** The revision of each flag of a partition at a revision of the environment. */
const sets = new Map<string, ReadonlyMap<string, number>>();

let plane: TestControlPlane;
let program: VehicleProgram;

beforeAll(async () => {
  plane = await TestControlPlane.start();
  program = await VehicleProgram.build();
}, 60_000);

afterAll(async () => {
  await program?.dispose();
  await plane?.stop();
});

function noteSets(): void {
  for (const partition of [OTHER_MODELS, ...MODELS]) {
    const set = [...plane.signedSet(partition)].map(([key, jws]) => [key, revisionIn(jws)] as const);
    sets.set(`${plane.revision} ${partition}`, new Map(set));
  }
}

const claimsOf = (jws: string) => membersOf(parseJson(Buffer.from(jws.split('.')[1]!, 'base64url').toString()));
const revisionIn = (jws: string) => Number(claimsOf(jws).revision);

/** Changes flags until `signal`, each to a value that is its revision. */
async function changeFlags(random: () => number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const key = KEYS[Math.floor(random() * KEYS.length)]!;
    if (plane.definitions().has(key) && random() < 0.1) await plane.remove(key);
    else
      await plane.put(key, {
        type: 'number',
        defaultValue: plane.revision + 1,
        enabled: random() > 0.2,
        ...(random() < 0.3 && { scope: SCOPES[Math.floor(random() * SCOPES.length)]! }),
      });
    noteSets();
    if (random() < 0.25) plane.register(MODELS[Math.floor(random() * MODELS.length)]!);
    await pause(40);
  }
}

interface OnDisk {
  readonly revision: number;
  /** The partition that the stored assignment names. */
  readonly partition: string;
  /** The revision of each flag of its set. */
  readonly flags: ReadonlyMap<string, number>;
  /** The revision of each disabling from beyond it. */
  readonly ahead: ReadonlyMap<string, number>;
}

/** Reads the file without the agent's code, each flag as it was signed. Resolves to null where there is no file yet. */
async function readWithSqlite(path: string): Promise<OnDisk | null> {
  const bytes = (await readFile(path).catch(() => null)) ?? (await readFile(`${path}.previous`).catch(() => null));
  if (bytes === null) return null;
  const database = new (await initSqlJs()).Database(bytes);
  try {
    expect(database.exec('PRAGMA integrity_check')[0]!.values).toEqual([['ok']]);
    const revision = Number(database.exec("SELECT value FROM agent_state WHERE key = 'revision'")[0]!.values[0]![0]);
    const assignment = String(
      database.exec("SELECT value FROM agent_state WHERE key = 'assignment'")[0]!.values[0]![0],
    );
    const { partition, vin } = claimsOf(assignment);
    expect(vin).toBe(TEST_VIN);
    partitions.add(String(partition));
    const [flags, ahead] = [new Map<string, number>(), new Map<string, number>()];
    for (const [key, metadata] of database.exec('SELECT key, metadata FROM flags_cache')[0]?.values ?? []) {
      const stored = JSON.parse(String(metadata)) as {
        revision: number;
        jws: string;
        ahead?: { revision: number; jws: string };
      };
      for (const [part, revisions] of [
        [stored, flags],
        [stored.ahead, ahead],
      ] as const) {
        if (part === undefined) continue;
        expect(plane.published[part.revision - 1]).toEqual({
          key,
          removed: false,
          revision: part.revision,
          jws: part.jws,
        });
        revisions.set(String(key), part.revision);
      }
    }
    return { revision, partition: String(partition), flags, ahead };
  } finally {
    database.close();
  }
}

/**
 * Expects the flags of a partition at `revision`, all of them and no others; only what disables one may be from beyond
 * it.
 */
async function expectWhole({ revision, partition, flags, ahead }: OnDisk): Promise<void> {
  // A vehicle may have a change before the test has noted it.
  await eventually(() => sets.has(`${revision} ${partition}`), `revision ${revision} is noted`);
  expect(flags).toEqual(sets.get(`${revision} ${partition}`));
  for (const beyond of ahead.values()) {
    expect(beyond).toBeGreaterThan(revision);
    expect(plane.enabledAt(beyond)).toBe(false);
  }
  disablingsAhead += ahead.size;
}

let disablingsAhead = 0;
/** The partitions that were found on disk. */
const partitions = new Set<string>();

const numbersOf = ({ items }: ReportedBatch) =>
  items.flatMap(({ tags }) => (tags === null ? [] : [JSON.stringify(tags)]));

/** Gives how often each measurement was stored. A batch that is sent again is not stored again. */
function storedMeasurements(): Map<string, number> {
  const counts = new Map<string, number>();
  const batches = new Map(plane.batches.map((batch) => [batch.batchId, batch]));
  for (const number of [...batches.values()].flatMap(numbersOf)) counts.set(number, (counts.get(number) ?? 0) + 1);
  return counts;
}

/** Expects that a vehicle starts from its file alone, with the content of the file. */
function expectLoaded(report: LoadedReport, onDisk: OnDisk | null): void {
  const { flags, ...loaded } = report;
  expect(loaded).toMatchObject({ ready: onDisk !== null, revision: onDisk?.revision ?? 0, faults: [] });
  const served = [...(onDisk?.flags ?? [])].map(
    ([key, revision]) => [key, onDisk?.ahead.get(key) ?? revision] as const,
  );
  expect(flags).toEqual(
    served
      .sort()
      .map(([key, revision]) => [key, revision, revision, plane.enabledAt(revision) ? 'DEFAULT' : 'DISABLED']),
  );
}

async function killAgainAndAgain(
  vehicles: readonly TestVehicle[],
  firstRound: number,
  random: () => number,
): Promise<void> {
  const durable = new Set<string>();
  let waitedFor = 0;
  const optionsOf = ({ tokenFile, databaseFile, keysFile }: TestVehicle, place: number, round: number) => ({
    url: plane.url,
    tokenFile,
    databaseFile,
    keysFile,
    round: round * AGENTS + place,
  });
  const prepare = (round: number) =>
    new KillableProcess(
      program,
      vehicles.map((vehicle, place) => optionsOf(vehicle, place, round)),
    );
  let onDisk = vehicles.map((): OnDisk | null => null);
  let next = prepare(firstRound);
  let driving = next;
  try {
    for (let round = firstRound; round < firstRound + ROUNDS; round++) {
      driving = next;
      next = prepare(round + 1);
      driving.begin();
      // Some die while they load; most of them while they write.
      if (random() < 0.9) {
        const place = Math.floor(random() * AGENTS);
        await driving.saying('loaded', () => true, place);
        const changes = Math.floor(random() * 2);
        await driving.saying(
          'revision',
          (revision) => Number(revision) >= (onDisk[place]?.revision ?? 0) + changes,
          place,
        );
        await driving.saying('durable', (count) => Number(count) > 0, place);
        waitedFor += 1;
      }
      await pause(random() * 20);
      await driving.kill();
      const before = onDisk;
      onDisk = await Promise.all(vehicles.map(({ databaseFile }) => readWithSqlite(databaseFile)));
      for (const [place, after] of onDisk.entries()) {
        const loaded = driving.said('loaded', place);
        if (loaded !== null) expectLoaded(JSON.parse(loaded) as LoadedReport, before[place]!);
        if (after !== null) await expectWhole(after);
        expect(after?.revision ?? 0).toBeGreaterThanOrEqual(
          Math.max(before[place]?.revision ?? 0, Number(driving.said('revision', place))),
        );
        for (let n = 1; n <= Number(driving.said('durable', place)); n++)
          durable.add(JSON.stringify({ round: round * AGENTS + place, n }));
      }
    }
  } finally {
    for (const each of new Set([driving, next])) if (!each.ended) await each.kill();
  }
  const sendRest = async (vehicle: TestVehicle) => {
    const agent = await vehicle.start({ timings: { metricsIntervalMs: 5 } });
    await eventually(() => agent.status().connected && agent.status().metrics.queued === 0, 'all is sent', 60_000);
    expect(agent.status().metrics.dropped.measurements).toBe(0);
    await agent.close();
  };
  await Promise.all(vehicles.map(sendRest));
  const counts = storedMeasurements();
  expect([...durable].filter((each) => counts.get(each) !== 1)).toEqual([]);
  expect(durable.size).toBeGreaterThanOrEqual(waitedFor);
}

test(`agents killed ${LANES * AGENTS * ROUNDS} times leave what was said to be on disk, whole and signed, and no measurement is lost or counted twice`, async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const generator = xoroshiro128plus(seed);
  const random = () => uniformFloat64(generator);
  // Between these two the vehicle does not know whether its batch is stored.
  plane.onReport = async () => {
    if (random() < 0.3) throw new GraphQLError('refused', { extensions: { code: 'SERVICE_UNAVAILABLE' } });
    await pause(random() * 10);
  };
  // A relay in between drops events and removes entries from answers.
  plane.onChange = (change) => (random() < 0.2 ? [] : [change]);
  plane.onSync = (answer) =>
    random() < 0.2 ? { ...answer, flags: answer.flags.filter(() => random() < 0.7) } : answer;
  noteSets();
  const changes = new AbortController();
  const vehicles = await Promise.all(
    Array.from({ length: AGENTS * LANES }, (_, index) => TestVehicle.create(plane, MEMORY, `agent_${index}.db`)),
  );
  const changing = changeFlags(random, changes.signal);
  try {
    const lanes = Array.from({ length: LANES }, (_, lane) =>
      killAgainAndAgain(vehicles.slice(lane * AGENTS, (lane + 1) * AGENTS), lane * ROUNDS, random),
    );
    for (const result of await Promise.allSettled(lanes)) if (result.status === 'rejected') throw result.reason;
    // Whenever a batch was sent again, it was the same.
    const contents = new Map<string, string>();
    for (const { batchId, items } of plane.batches) {
      const content = JSON.stringify(items);
      expect(contents.get(batchId) ?? content).toBe(content);
      contents.set(batchId, content);
    }
    expect(contents.size).toBeLessThan(plane.batches.length);
    // Some have died between a disabling and its set, and in several partitions. Few kills may by chance hit none.
    if (LANES * AGENTS * ROUNDS > 200) {
      expect(disablingsAhead).toBeGreaterThan(0);
      expect(partitions.size).toBeGreaterThan(1);
    }
  } catch (error) {
    throw new Error(`with seed ${seed}`, { cause: error });
  } finally {
    changes.abort();
    await changing;
    await Promise.all(vehicles.map((vehicle) => vehicle.dispose()));
  }
}, 300_000);
