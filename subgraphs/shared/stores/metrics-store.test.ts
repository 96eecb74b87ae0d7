import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { serveClickHouse, type ClickHouseServer } from '../testing/clickhouse-server.ts';
import { metricsStoreContract } from '../testing/metrics-store-contract.ts';
import { openMetricsStore, type MetricsStore } from './metrics-store.ts';

let folder: string;
let store: MetricsStore | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fleetflag-metrics-'));
});

afterEach(async () => {
  await store?.close();
  store = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** Overwrites every description of a table. */
function damage(path: string): void {
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.sql'));
  expect(files).not.toEqual([]);
  for (const name of files) writeFileSync(join(path, name), 'garbage');
}

const rowsOf = async (opened: MetricsStore, query: string) =>
  (await opened.client.query({ query, format: 'JSONEachRow' })).json();

describe('the embedded engine', () => {
  describe('as a client uses it', () => {
    let path: string;

    beforeAll(() => {
      path = mkdtempSync(join(tmpdir(), 'fleetflag-metrics-'));
    });

    afterAll(() => rmSync(path, { recursive: true, force: true }));

    metricsStoreContract(() => openMetricsStore({ url: null, path }));
  });

  test('still has stored rows when it is opened again', async () => {
    const path = join(folder, 'made', 'on', 'demand');
    store = await openMetricsStore({ url: null, path });
    await store.ping();
    await store.client.command({
      query: 'CREATE TABLE samples (vin String, value Float64) ENGINE = MergeTree ORDER BY vin',
    });
    await store.client.insert({
      table: 'samples',
      values: [
        { vin: 'KMH1', value: 1.5 },
        { vin: 'KMH2', value: 2.5 },
      ],
      format: 'JSONEachRow',
    });
    await store.close();
    store = await openMetricsStore({ url: null, path });
    expect(await rowsOf(store, 'SELECT sum(value) AS total FROM samples')).toEqual([{ total: 4 }]);
  });

  test.each<[string, (path: string) => void]>([
    ['whose tables are damaged', (path) => damage(path)],
    [
      'in which files stand where folders belong',
      (path) => {
        rmSync(path, { recursive: true });
        mkdirSync(path);
        for (const name of ['data', 'metadata', 'store']) writeFileSync(join(path, name), 'garbage');
      },
    ],
    [
      'that is a file',
      (path) => {
        rmSync(path, { recursive: true });
        writeFileSync(path, 'garbage');
      },
    ],
  ])('a folder %s is kept under another name, and a new one is created', async (_what, spoil) => {
    const path = join(folder, 'store');
    store = await openMetricsStore({ url: null, path });
    await store.client.command({ query: 'CREATE TABLE samples (value Float64) ENGINE = MergeTree ORDER BY value' });
    await store.close();
    spoil(path);
    const setAside: string[] = [];
    store = await openMetricsStore({ url: null, path, onSetAside: (keptAs) => setAside.push(keptAs) });
    expect(setAside).toEqual([expect.stringMatching(/store-unreadable-\S+$/)]);
    expect(existsSync(setAside[0] ?? '')).toBe(true);
    await store.client.command({ query: 'CREATE TABLE samples (value Float64) ENGINE = MergeTree ORDER BY value' });
    expect(await rowsOf(store, 'SELECT count() AS n FROM samples')).toEqual([{ n: 0 }]);
    await store.close();
    // The next start opens the new folder.
    store = await openMetricsStore({ url: null, path, onSetAside: (keptAs) => setAside.push(keptAs) });
    expect(setAside).toHaveLength(1);
  });

  test('refuses reads and writes while its folder is missing, and continues when it is back', async () => {
    const path = join(folder, 'store');
    store = await openMetricsStore({ url: null, path });
    const { client } = store;
    await client.command({ query: 'CREATE TABLE samples (value Float64) ENGINE = MergeTree ORDER BY value' });
    const insert = (value: number) => client.insert({ table: 'samples', values: [{ value }], format: 'JSONEachRow' });
    const total = () => rowsOf(store!, 'SELECT sum(value) AS total FROM samples');
    await insert(1);
    renameSync(path, `${path}-away`);
    writeFileSync(path, '');
    try {
      await expect(insert(2)).rejects.toThrow();
      await expect(total()).rejects.toThrow();
    } finally {
      rmSync(path);
      renameSync(`${path}-away`, path);
    }
    await insert(4);
    expect(await total()).toEqual([{ total: 5 }]);
  });

  test('a ping after closing is refused as SERVICE_UNAVAILABLE', async () => {
    const closed = await openMetricsStore({ url: null, path: folder });
    await closed.close();
    await expect(closed.ping()).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  });

  test('a folder that another process uses is refused by name, and opens with the stored rows once that process is killed', async () => {
    const script = fileURLToPath(new URL('../testing/hold-metrics-store.ts', import.meta.url));
    const holder = spawn(process.execPath, ['--import', 'tsx', script, folder], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    try {
      const [said] = (await once(holder.stdout, 'data')) as [Buffer];
      expect(said.toString()).toBe('stored\n');
      await expect(openMetricsStore({ url: null, path: folder })).rejects.toMatchObject({
        code: 'SERVICE_UNAVAILABLE',
        message: expect.stringMatching(new RegExp(`Process ${holder.pid} has .* CLICKHOUSE_URL`)),
      });
    } finally {
      holder.kill('SIGKILL');
      await once(holder, 'exit');
    }
    store = await openMetricsStore({ url: null, path: folder });
    expect(await rowsOf(store, 'SELECT value FROM kept')).toEqual([{ value: 7 }]);
  });
});

describe('a server', () => {
  describe('as a client uses it', () => {
    let path: string;
    let served: ClickHouseServer;
    const openDatabase = (database = '') =>
      openMetricsStore({ url: `http://fleetflag:password@127.0.0.1:${served.port}${database}`, path: '' });

    beforeAll(async () => {
      path = mkdtempSync(join(tmpdir(), 'fleetflag-metrics-'));
      served = await serveClickHouse(path);
    });

    afterAll(async () => {
      await served.close();
      rmSync(path, { recursive: true, force: true });
    });

    metricsStoreContract(() => openDatabase());

    test('that has several databases gives each client the one that its address names', async () => {
      const first = await openDatabase();
      const names = ['one', 'other'];
      for (const name of names) await first.client.command({ query: `CREATE DATABASE ${name}` });
      const stores = await Promise.all(names.map((name) => openDatabase(`/${name}`)));
      for (const [index, { client }] of stores.entries()) {
        await client.command({ query: 'CREATE TABLE samples (value Float64) ENGINE = MergeTree ORDER BY value' });
        await client.insert({ table: 'samples', values: [{ value: index }], format: 'JSONEachRow' });
      }
      const query = 'SELECT currentDatabase() AS name, value FROM samples';
      expect(await Promise.all(stores.map((each) => rowsOf(each, query)))).toEqual([
        [{ name: 'one', value: 0 }],
        [{ name: 'other', value: 1 }],
      ]);
      const missing = await openDatabase('/missing');
      await expect(rowsOf(missing, 'SELECT 1')).rejects.toMatchObject({ code: '81', type: 'UNKNOWN_DATABASE' });
      for (const each of [first, ...stores, missing]) await each.close();
    });

    test('applies settings to the request that names them, and to no other', async () => {
      const opened = await openDatabase();
      const most = async (settings = {}) => {
        const query = "SELECT getSetting('max_insert_block_size') AS most";
        return (await opened.client.query({ query, format: 'JSONEachRow', clickhouse_settings: settings })).json();
      };
      const usual = await most();
      expect(await most({ max_insert_block_size: '7' })).toEqual([{ most: 7 }]);
      expect(await most()).toEqual(usual);
      await opened.close();
    });
  });

  let server: Server | undefined;

  afterEach(async () => {
    server?.closeAllConnections();
    await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
    server = undefined;
  });

  const serve = async (status: number): Promise<string> => {
    server = createServer((_, response) => response.writeHead(status).end('1\n')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  test('that answers is ready', async () => {
    store = await openMetricsStore({ url: await serve(200), path: folder });
    await expect(store.ping()).resolves.toBeUndefined();
  });

  test('that refuses the credentials is not ready', async () => {
    store = await openMetricsStore({ url: await serve(403), path: folder });
    await expect(store.ping()).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  });

  test('that is down does not prevent a start, and is not ready', async () => {
    // A port that was free a moment ago.
    const url = await serve(200);
    await new Promise((resolve) => server?.close(resolve));
    server = undefined;
    store = await openMetricsStore({ url, path: folder });
    await expect(store.ping()).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  });
});
