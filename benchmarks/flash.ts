/**
 * Measures the agent's writes to flash in a typical vehicle's day: one drive of two hours with a connection, a real
 * agent and real files, in virtual time. Two alternatives with the same day serve as comparison: writing the whole
 * sql.js database each time, and a plain SQLite file with synchronous=FULL (in Python, where it is installed).
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import initSqlJs, { type Database } from 'sql.js';
import { nodeFileSystem, type FileSystem } from '../agent/store/files/durable-file.ts';
import { createTables } from '../agent/store/rows/schema.ts';
import { TestControlPlane } from '../agent/testing/control-plane.ts';
import { TestVehicle } from '../agent/testing/test-vehicle.ts';
import type { RuleDefinition } from '../core/model.ts';

const FLAGS = 50;
const DRIVE_SECONDS = 7200;
const MEASUREMENT_EVERY = 10;
const SYNC_EVERY = 600;
const COUNTS_EVERY = 60;
/** Changes of flags: some while the vehicle is parked, the others at these seconds of the drive. */
const CHANGES_PARKED = 4;
const CHANGES_DRIVING = [600.5, 1500.5, 2700.5, 4100.5, 5000.5, 6600.5];
const STEP_MS = 250;
/** The least bytes that a file system writes. */
const PAGE = 4096;

/** The agent's own timings; a test vehicle's are shorter. */
const TIMINGS = { backoffMs: 1000, backoffCapMs: 30_000, storeRetryMs: 5000 };

const rulesOf = (flag: number, change: number): RuleDefinition[] => [
  {
    id: `target-${flag}`,
    type: 'vehicle_target',
    priority: 2,
    enabled: true,
    conditions: {
      models: ['Ioniq 5 Gen2', 'Ioniq 6', `Model ${change}`],
      sw_version: '>= 2.5.0',
      regions: ['EU', 'NA'],
    },
  },
  {
    id: `rollout-${flag}`,
    type: 'percentage_rollout',
    priority: 1,
    enabled: true,
    conditions: { rollout_percentage: 50 },
  },
];

interface Written {
  /** Bytes given to the file system, each write rounded up to whole pages. */
  bytes: number;
  writes: number;
}

/** Counts writes; `busy` is the number of calls in progress. */
function counting(): {
  readonly files: FileSystem;
  readonly whole: Written;
  readonly appended: Written;
  readonly busy: () => number;
} {
  const [whole, appended] = [
    { bytes: 0, writes: 0 },
    { bytes: 0, writes: 0 },
  ];
  const ends = new Map<string, number>();
  let busy = 0;
  const during = async <T>(call: Promise<T>): Promise<T> => {
    busy += 1;
    return call.finally(() => (busy -= 1));
  };
  return {
    whole,
    appended,
    busy: () => busy,
    files: {
      read: (path) => during(nodeFileSystem.read(path)),
      write(path, bytes) {
        whole.writes += 1;
        whole.bytes += Math.ceil(bytes.byteLength / PAGE) * PAGE;
        return during(nodeFileSystem.write(path, bytes));
      },
      append(path, bytes) {
        const start = ends.get(path) ?? 0;
        const end = start + bytes.byteLength;
        ends.set(path, end);
        appended.writes += 1;
        // A page that is partly written is written again.
        appended.bytes += (Math.ceil(end / PAGE) - Math.floor(start / PAGE)) * PAGE;
        return during(nodeFileSystem.append(path, bytes));
      },
      rename(from, to) {
        ends.delete(from);
        return during(nodeFileSystem.rename(from, to));
      },
      flushFolder: (path) => during(nodeFileSystem.flushFolder(path)),
      createFolder: (path) => during(nodeFileSystem.createFolder(path)),
    },
  };
}

/** Reads the bytes that this process has sent to a disk, as Linux counts them. */
async function diskBytes(): Promise<number> {
  return Number(/^write_bytes: (\d+)/m.exec(await readFile('/proc/self/io', 'utf8'))![1]);
}

interface Row {
  readonly what: string;
  readonly writes: string;
  readonly bytes: number;
  readonly onDisk: number;
}

async function driveAgent(
  plane: TestControlPlane,
  vehicle: TestVehicle,
): Promise<Row & { readonly databaseBytes: number }> {
  const { files, whole, appended, busy } = counting();
  const from = await diskBytes();
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: Date.now() });
  const agent = await vehicle.start({ files, timings: TIMINGS, now: () => Date.now() });
  /** Waits until the disk is idle and the sockets have been read. */
  const settle = async () => {
    for (let quiet = 0; quiet < 6; quiet = busy() === 0 ? quiet + 1 : 0) await turn();
  };
  for (let step = 0; step * STEP_MS < DRIVE_SECONDS * 1000; step++) {
    const second = (step * STEP_MS) / 1000;
    if (Number.isInteger(second)) {
      for (const key of agent.flagKeys()) agent.evaluate(key);
      if (second > 0 && second % MEASUREMENT_EVERY === 0)
        agent.track('consumption_kwh', 17.5 + (second % 7), {
          flagKey: 'feature_1',
          tags: { road: 'motorway', sample: second },
        });
    }
    const change = CHANGES_DRIVING.indexOf(second);
    if (change !== -1) await plane.put(`feature_${change}`, { rules: rulesOf(change, change + 100) });
    await settle();
    mock.timers.tick(STEP_MS);
  }
  await settle();
  const { revision, metrics, cacheBytes } = agent.status();
  mock.timers.reset();
  await agent.close();
  const measured = new Set(
    plane.batches.flatMap(({ items }) => items.flatMap(({ tags }) => (tags === null ? [] : [JSON.stringify(tags)]))),
  ).size;
  if (revision !== plane.revision || measured < DRIVE_SECONDS / MEASUREMENT_EVERY - 30)
    throw new Error(`the drive did not go as it should: ${JSON.stringify({ revision, measured, metrics })}`);
  const writes = `${whole.writes} of the database, ${appended.writes} of the journal`;
  return {
    what: 'the agent',
    writes,
    bytes: whole.bytes + appended.bytes,
    onDisk: (await diskBytes()) - from,
    databaseBytes: cacheBytes,
  };
}

/** The same day as transactions: SQL statements with their values. */
type Transaction = readonly (readonly [sql: string, ...values: (string | number)[]])[];

function transactions(metadata: readonly string[]): Transaction[] {
  const state = (key: string, value: number) =>
    ['INSERT OR REPLACE INTO agent_state (key, value, updated_at) VALUES (?, ?, 0)', key, String(value)] as const;
  const flag = (index: number) =>
    ['UPDATE flags_cache SET metadata = ?, cached_at = 1 WHERE key = ?', metadata[index]!, `feature_${index}`] as const;
  const row = (key: string, name: string, value: number, at: number) =>
    [
      'INSERT INTO metrics_queue (flag_key, metric_name, value, timestamp, tags) VALUES (?, ?, ?, ?, ?)',
      key,
      name,
      value,
      at,
      '{"variant":"treatment","tags":null}',
    ] as const;
  const sync = (second: number): Transaction => [
    state('last_sync_at', second),
    ['UPDATE flags_cache SET cached_at = ?', second],
  ];
  const day: Transaction[] = [[...Array.from({ length: CHANGES_PARKED }, (_, index) => flag(index)), ...sync(0)]];
  for (let second = 1; second <= DRIVE_SECONDS; second++) {
    if (second % MEASUREMENT_EVERY === 0) day.push([row('feature_1', 'consumption_kwh', 17.5, second)]);
    if (second % COUNTS_EVERY === 0) {
      day.push(
        Array.from({ length: FLAGS }, (_, index) => row(`feature_${index}`, '$evaluations', COUNTS_EVERY, second)),
      );
      day.push([['DELETE FROM metrics_queue WHERE timestamp <= ?', second]]);
    }
    if (second % SYNC_EVERY === 0) day.push(sync(second));
    if (CHANGES_DRIVING.includes(second + 0.5)) day.push([flag(second % FLAGS), state('revision', second)]);
  }
  return day;
}

async function emptyDatabase(metadata: readonly string[]): Promise<Database> {
  const database = new (await initSqlJs()).Database();
  createTables(database);
  for (const [index, text] of metadata.entries()) {
    database.run(
      "INSERT INTO flags_cache (key, enabled, variant, default_value, cached_at, flag_type, metadata) VALUES (?, 1, 'control', 'false', 0, 'boolean', ?)",
      [`feature_${index}`, text],
    );
  }
  return database;
}

async function wholeDatabase(folder: string, metadata: readonly string[]): Promise<Row> {
  const { files, whole } = counting();
  const database = await emptyDatabase(metadata);
  const from = await diskBytes();
  for (const transaction of transactions(metadata)) {
    for (const [sql, ...values] of transaction) database.run(sql, values);
    await files.write(join(folder, 'whole.db'), database.export());
  }
  database.close();
  return {
    what: 'sql.js, the whole file each time',
    writes: `${whole.writes} of the database`,
    bytes: whole.bytes,
    onDisk: (await diskBytes()) - from,
  };
}

const PYTHON = `
import json, sqlite3, sys
path, mode, day = sys.argv[1], sys.argv[2], json.load(open(sys.argv[3]))
db = sqlite3.connect(path, isolation_level=None)
db.execute(f'PRAGMA journal_mode={mode}').fetchall()
db.execute('PRAGMA synchronous=FULL')
written = lambda: int([l for l in open('/proc/self/io') if l.startswith('write_bytes')][0].split()[1])
before = written()
for transaction in day:
    db.execute('BEGIN')
    for sql, *values in transaction: db.execute(sql, values)
    db.execute('COMMIT')
print(written() - before)
`;

/** Runs the day on plain SQLite; gives null without Python. */
async function plainSqlite(folder: string, mode: 'DELETE' | 'WAL', metadata: readonly string[]): Promise<Row | null> {
  const [path, events] = [join(folder, `plain-${mode}.db`), join(folder, 'day.json')];
  const database = await emptyDatabase(metadata);
  await nodeFileSystem.write(path, database.export());
  database.close();
  const day = transactions(metadata);
  await nodeFileSystem.write(events, Buffer.from(JSON.stringify(day)));
  try {
    const onDisk = Number((await promisify(execFile)('python3', ['-c', PYTHON, path, mode, events])).stdout);
    return {
      what: `SQLite file, synchronous=FULL, journal_mode=${mode}`,
      writes: `${day.length} transactions`,
      bytes: onDisk,
      onDisk,
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Prints the table. Takes about a minute. Linux only: it reads /proc. */
export async function run(): Promise<void> {
  const plane = await TestControlPlane.start();
  const vehicle = await TestVehicle.create(plane);
  try {
    for (let flag = 0; flag < FLAGS; flag++) await plane.put(`feature_${flag}`, { rules: rulesOf(flag, 0) });
    const dayBefore = await vehicle.start();
    await dayBefore.ready();
    await dayBefore.close();
    for (let change = 0; change < CHANGES_PARKED; change++)
      await plane.put(`feature_${change + 20}`, { rules: rulesOf(change + 20, change + 200) });
    const metadata = plane.published.slice(0, FLAGS).map(({ revision, jws }) => JSON.stringify({ revision, jws }));
    const ours = await driveAgent(plane, vehicle);
    const rows = [
      ours,
      await wholeDatabase(vehicle.folder, metadata),
      await plainSqlite(vehicle.folder, 'DELETE', metadata),
      await plainSqlite(vehicle.folder, 'WAL', metadata),
    ];
    const kinds = `${CHANGES_PARKED + CHANGES_DRIVING.length} changes of flags, ${DRIVE_SECONDS / MEASUREMENT_EVERY} measurements, every flag evaluated each second`;
    console.log(
      `\nWritten to flash in a day: ${FLAGS} flags (database ${(ours.databaseBytes / 1024).toFixed(0)} KB), a drive of ${DRIVE_SECONDS / 3600} h, ${kinds}\n`,
    );
    console.log('| what | writes | in pages of 4 KB, MB | sent to the disk (/proc/self/io), MB | ratio |');
    console.log('|---|---|---|---|---|');
    for (const row of rows) {
      if (row === null) continue;
      console.log(
        `| ${row.what} | ${row.writes} | ${(row.bytes / 1e6).toFixed(1)} | ${(row.onDisk / 1e6).toFixed(1)} | ${(row.bytes / ours.bytes).toFixed(1)} |`,
      );
    }
    if (rows.includes(null)) console.log('\nNo python3: the plain SQLite file was left out.');
  } finally {
    mock.timers.reset();
    await vehicle.dispose();
    await plane.stop();
  }
}
