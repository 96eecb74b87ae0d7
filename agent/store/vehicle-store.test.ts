import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import initSqlJs from 'sql.js';
import type { Database } from 'sql.js';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { rounds } from '../../core/testing/rounds.ts';
import { AGENT_VERSION } from '../version.ts';
import { nodeFileSystem, type FileSystem } from './files/durable-file.ts';
import { createTables } from './rows/schema.ts';
import { ON } from '../testing/rules.ts';

let plane: TestControlPlane;
let vehicle: TestVehicle;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

/** Runs an agent until it has everything, then stops it and the control plane. */
async function fill(): Promise<void> {
  await plane.put('a', { rules: [ON] });
  await plane.put('b', { type: 'string', defaultValue: 'eco' });
  const agent = await vehicle.start();
  await agent.ready();
  // A proof that comes after the last flag would have the agent write a generation more at its end.
  plane.onProof = () => new Promise(() => undefined);
  await plane.put('c', { enabled: false });
  await eventually(() => agent.status().revision === 3, 'all is stored');
  await agent.close();
  await plane.stop();
  plane.onProof = (proof) => proof;
}

async function open(path = vehicle.databaseFile): Promise<Database> {
  const sql = await initSqlJs();
  return new sql.Database(await readFile(path));
}

async function edit(sql: string): Promise<void> {
  const database = await open();
  database.run(sql);
  await writeFile(vehicle.databaseFile, database.export());
  database.close();
}

describe('the file', () => {
  test('has the specified tables, indexes, defaults and initial rows', async () => {
    await fill();
    const database = await open();
    const columns = (table: string) =>
      database.exec(`SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info('${table}')`)[0]!.values;
    expect(columns('flags_cache')).toEqual([
      ['key', 'TEXT', 1, null, 1],
      ['enabled', 'INTEGER', 1, null, 0],
      ['variant', 'TEXT', 1, null, 0],
      ['default_value', 'TEXT', 1, null, 0],
      ['cached_at', 'INTEGER', 1, null, 0],
      ['ttl_seconds', 'INTEGER', 1, '604800', 0],
      ['flag_type', 'TEXT', 1, null, 0],
      ['metadata', 'TEXT', 0, null, 0],
    ]);
    expect(columns('agent_state')).toEqual([
      ['key', 'TEXT', 1, null, 1],
      ['value', 'TEXT', 1, null, 0],
      ['updated_at', 'INTEGER', 1, null, 0],
    ]);
    expect(columns('metrics_queue')).toEqual([
      ['id', 'INTEGER', 0, null, 1],
      ['flag_key', 'TEXT', 1, null, 0],
      ['metric_name', 'TEXT', 1, null, 0],
      ['value', 'REAL', 1, null, 0],
      ['timestamp', 'INTEGER', 1, null, 0],
      ['tags', 'TEXT', 0, null, 0],
      ['sent', 'INTEGER', 1, '0', 0],
    ]);
    const indexes = database
      .exec("SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'idx%' ORDER BY name")[0]!
      .values.flat();
    expect(indexes).toEqual([
      'idx_flags_cache_cached_at',
      'idx_flags_cache_enabled',
      'idx_metrics_queue_sent',
      'idx_metrics_queue_timestamp',
    ]);
    expect(database.exec('PRAGMA auto_vacuum')[0]!.values).toEqual([[2]]);
    const rows = database.exec(
      'SELECT key, enabled, variant, default_value, ttl_seconds, flag_type FROM flags_cache ORDER BY key',
    )[0]!.values;
    expect(rows).toEqual([
      ['a', 1, 'treatment', 'false', 604800, 'boolean'],
      ['b', 1, 'control', '"eco"', 604800, 'string'],
      ['c', 0, 'control', 'false', 604800, 'boolean'],
    ]);
    const state = new Map(database.exec('SELECT key, value FROM agent_state')[0]!.values as [string, string][]);
    expect(state.get('agent_version')).toBe(AGENT_VERSION);
    expect(state.get('revision')).toBe('3');
    expect(Number(state.get('last_sync_at'))).toBeGreaterThan(0);
    expect(state.get('sync_count')).toBe('1');
    database.close();
  });

  test('begins with the specified rows, which nothing has updated yet', async () => {
    const database = new (await initSqlJs()).Database();
    createTables(database);
    expect(database.exec('SELECT key, value, updated_at FROM agent_state ORDER BY key')[0]!.values).toEqual([
      ['agent_version', '1.0.0', 0],
      ['last_sync_at', '0', 0],
      ['sync_count', '0', 0],
    ]);
    database.close();
  });

  test('that is cut off falls back to the former generation, and the next write keeps that one', async () => {
    await fill();
    await truncate(vehicle.databaseFile, 5000);
    const agent = await vehicle.start();
    await agent.ready();
    expect(agent.status()).toMatchObject({
      revision: 2,
      flags: 2,
      store: { source: 'previous', faults: [expect.stringContaining('current')] },
    });
    await plane.listen();
    await eventually(() => agent.status().revision === 3, 'it has caught up');
    expect(plane.syncs.at(-1)).toBe(2);
    const former = await open(`${vehicle.databaseFile}.previous`);
    expect(former.exec("SELECT value FROM agent_state WHERE key = 'revision'")[0]!.values).toEqual([['2']]);
    former.close();
  });

  test('that is missing, as between the two renames of a write, falls back to the former generation without a fault', async () => {
    await fill();
    await rm(vehicle.databaseFile);
    const agent = await vehicle.start();
    expect(agent.status()).toMatchObject({ revision: 2, store: { source: 'previous', faults: [] } });
  });

  test('broken in both generations means empty, reported, and a full sync', async () => {
    await fill();
    await writeFile(vehicle.databaseFile, 'not a database');
    await writeFile(`${vehicle.databaseFile}.previous`, '');
    const agent = await vehicle.start();
    expect(agent.status()).toMatchObject({ ready: false, flags: 0, store: { source: 'empty' } });
    expect(agent.status().store.faults).toHaveLength(2);
    expect(agent.booleanValue('a', false)).toBe(false);
    await plane.listen();
    await eventually(() => agent.status().revision === 3, 'it has everything');
    expect(plane.syncs.at(-1)).toBe(0);
  });

  const tampered: [string, string][] = [
    ['a signed definition', "UPDATE flags_cache SET metadata = replace(metadata, '.ey', '.ex') WHERE key = 'a'"],
    ['the default value', "UPDATE flags_cache SET default_value = 'true' WHERE key = 'a'"],
    ['the key', "UPDATE flags_cache SET key = 'z' WHERE key = 'a'"],
    ['the kind of metadata', "UPDATE flags_cache SET metadata = '[]' WHERE key = 'a'"],
  ];
  test.each(tampered)(
    'in which %s was changed loses that flag only, counts it, and asks for everything again',
    async (_what, sql) => {
      await fill();
      await edit(sql);
      const agent = await vehicle.start();
      expect(agent.status()).toMatchObject({ flags: 2, refusals: { 'stored-flag': 1 }, store: { source: 'current' } });
      expect(agent.booleanDetails('a', false).errorCode).toBe('FLAG_NOT_FOUND');
      expect(agent.booleanDetails('z', false).errorCode).toBe('FLAG_NOT_FOUND');
      await plane.listen();
      await eventually(() => agent.status().flags === 3, 'it is whole again');
      expect(plane.syncs.at(-1)).toBe(0);
      expect(agent.booleanValue('a', false)).toBe(true);
    },
  );

  test('in which ages were raised does not keep a flag alive, and a raised revision does not lock the vehicle out', async () => {
    const start = Date.now();
    plane.now = () => start;
    await fill();
    await edit(
      "UPDATE flags_cache SET cached_at = 9999999999, ttl_seconds = 9999999999; UPDATE agent_state SET value = '999' WHERE key = 'revision'",
    );
    const agent = await vehicle.start({ now: () => start + 8 * 86_400_000 });
    expect(agent.status()).toMatchObject({ revision: 3, flags: 3, staleFlags: 3 });
  });
});

describe('what no signature covers', () => {
  test.each([
    ['clock_offset', '-691200'],
    ['ageing_time', '9999999999'],
  ])('is not believed where it is not what was written: %s', async (key, value) => {
    await fill();
    await edit(`UPDATE agent_state SET value = '${value}' WHERE key = '${key}'`);
    const agent = await vehicle.start();
    expect(agent.status()).toMatchObject({ revision: 3, flags: 3, staleFlags: 0 });
    await plane.listen();
    await eventually(() => agent.inTouch, 'it is in touch');
    expect(agent.status()).toMatchObject({ staleFlags: 0, refusals: {} });
  });

  test('costs the measurements where they are damaged, never the flags', async () => {
    await plane.put('a', { rules: [ON] });
    const first = await vehicle.start({ timings: { metricsIntervalMs: 600_000 } });
    await first.ready();
    first.track('minutes', 3, { flagKey: 'a' });
    await first.close();
    await plane.stop();
    await edit('UPDATE metrics_queue SET value = 4');
    const agent = await vehicle.start();
    expect(agent.status()).toMatchObject({
      ready: true,
      revision: 1,
      metrics: { queued: 0 },
      store: { source: 'current', faults: [expect.stringContaining('metrics queue')] },
    });
    expect(agent.booleanValue('a', false)).toBe(true);
  });

  test('without anything that verifies, keys that were learnt are not kept', async () => {
    const keyless = () => vehicle.start({ keys: null });
    const first = await keyless();
    await first.ready();
    await first.close();
    const { x } = plane.key.publicJwk;
    await edit(
      `UPDATE agent_state SET value = replace(value, '${x!}', '${x!.split('').reverse().join('')}') WHERE key = 'pinned_keys'`,
    );
    await rm(`${vehicle.databaseFile}.previous`, { force: true });
    await plane.put('a', { rules: [ON] });
    const agent = await keyless();
    await eventually(() => agent.booleanValue('a', false), 'it has the flag');
  });
});

describe('damage at random', () => {
  let original: Buffer;
  let former: Buffer;
  const allowed = new Map<string, boolean | string>([
    ['a', true],
    ['b', 'eco'],
    ['c', false],
  ]);

  /** Loads whatever is in the files: every flag must be as signed, or absent, or stale. */
  async function loadAndCheck(): Promise<void> {
    const agent = await vehicle.start();
    for (const key of agent.flagKeys()) {
      const { value, reason } = agent.evaluate(key)!.evaluation;
      if (reason !== 'STALE') expect([key, value]).toEqual([key, allowed.get(key)]);
    }
    await agent.close();
    await writeFile(vehicle.databaseFile, original);
    await writeFile(`${vehicle.databaseFile}.previous`, former);
  }

  test('no cut and no flipped byte, in either generation, stops the start or gives a wrong value', async () => {
    await fill();
    original = await readFile(vehicle.databaseFile);
    former = await readFile(`${vehicle.databaseFile}.previous`);
    const damage = fc.record({
      previous: fc.boolean(),
      cut: fc.boolean(),
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      mask: fc.integer({ min: 1, max: 255 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 4 }), async (damages) => {
        for (const { previous, cut, at, mask } of damages) {
          const path = previous ? `${vehicle.databaseFile}.previous` : vehicle.databaseFile;
          const bytes = await readFile(path);
          const offset = Math.floor(at * bytes.length);
          if (!cut && bytes.length > 0) bytes[offset]! ^= mask;
          await writeFile(path, cut ? bytes.subarray(0, offset) : bytes);
        }
        await loadAndCheck();
      }),
      { numRuns: rounds(40, 150) },
    );
  });
});

describe('a write that fails', () => {
  /** A file system that dies at the nth call, the write of a file half done. */
  function dyingAfter(calls: number): FileSystem {
    const step = () => {
      if (calls-- <= 0) throw Object.assign(new Error('the power is gone'), { code: 'EIO' });
    };
    return {
      read: (path) => nodeFileSystem.read(path),
      async write(path, bytes) {
        await nodeFileSystem.write(path, bytes.subarray(0, bytes.length >> 1));
        step();
        await nodeFileSystem.write(path, bytes);
      },
      async append(path, bytes) {
        await nodeFileSystem.append(path, bytes.subarray(0, bytes.length >> 1));
        step();
        await nodeFileSystem.append(path, bytes.subarray(bytes.length >> 1));
      },
      async rename(from, to) {
        step();
        await nodeFileSystem.rename(from, to);
      },
      async flushFolder(path) {
        step();
        await nodeFileSystem.flushFolder(path);
      },
      async createFolder(path) {
        step();
        await nodeFileSystem.createFolder(path);
      },
    };
  }

  test.each([0, 1, 2, 3, 4])('at step %i of a power cut leaves the old state or the new, whole', async (calls) => {
    await fill();
    await plane.listen();
    const agent = await vehicle.start({ files: dyingAfter(calls), timings: { storeRetryMs: 1_000_000 } });
    await eventually(() => plane.streams > 0, 'the stream is open');
    await plane.put('a', { rules: [] });
    await eventually(() => agent.status().evaluatedRevision === 4, 'it is evaluated from memory');
    await plane.stop();
    // Nothing that it still writes reaches its file system.
    await agent.close();
    const after = await vehicle.start({ url: 'ws://127.0.0.1:1/graphql' });
    expect(after.status().store.faults).toEqual([]);
    expect([3, 4]).toContain(after.status().revision);
    expect(after.booleanValue('a', true)).toBe(after.status().revision < 4);
  });

  test('does not keep a change from being evaluated, is not reported as persisted, and is retried by the store', async () => {
    await fill();
    await plane.listen();
    let broken = true;
    const files: FileSystem = {
      ...nodeFileSystem,
      write: (path, bytes) =>
        broken
          ? Promise.reject(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }))
          : nodeFileSystem.write(path, bytes),
    };
    const agent: FleetFlagAgent = await vehicle.start({ files });
    await eventually(() => plane.streams > 0, 'the stream is open');
    await plane.put('a', { rules: [] });
    await eventually(() => !agent.booleanValue('a', true), 'it is evaluated');
    expect(agent.status()).toMatchObject({
      revision: 3,
      evaluatedRevision: 4,
      store: { writeFault: 'no space left on device' },
    });
    broken = false;
    await eventually(() => agent.status().revision === 4, 'it is on disk');
    expect(agent.status().store.writeFault).toBeNull();
  });

  test('because the folder is a file is survived under any account', async () => {
    await plane.put('a', { rules: [ON] });
    const agent = await vehicle.start({ databaseFile: `${vehicle.tokenFile}/flags.db` });
    await agent.ready();
    expect(agent.booleanValue('a', false)).toBe(true);
    expect(agent.status()).toMatchObject({ revision: 0, evaluatedRevision: 1 });
    expect(agent.status().store.writeFault).toMatch(/EEXIST|ENOTDIR/);
  });
});
