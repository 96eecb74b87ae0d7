/** The writes of the whole database that the vehicle makes, and those that it spares, because flash wears out. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { nodeFileSystem, type FileSystem } from './files/durable-file.ts';
import { JOURNAL_BYTES } from './queue-journal.ts';
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

describe('writes are spared', () => {
  /** Says whether a file is a generation of the database; the faults have a file of their own. */
  const isDatabase = (path: string) => path === `${vehicle.databaseFile}.next`;

  test("by syncs that change nothing, until an hour has passed by the control plane's clock", async () => {
    const start = Date.now();
    plane.now = () => start;
    await plane.put('a', { rules: [ON] });
    let writes = 0;
    const files: FileSystem = {
      ...nodeFileSystem,
      write(path, bytes) {
        if (isDatabase(path)) writes += 1;
        return nodeFileSystem.write(path, bytes);
      },
    };
    const agent = await vehicle.start({ files, timings: { resyncMs: 5 } });
    const syncs = async (count: number) => {
      const from = agent.status().syncCount;
      await eventually(() => agent.status().syncCount >= from + count, 'it has synced');
    };
    await syncs(1);
    plane.now = () => start + 3_500_000;
    await syncs(5);
    expect(writes).toBe(1);
    expect(agent.status().lastStatementAt).toBe(new Date(Math.floor((start + 3_500_000) / 1000) * 1000).toISOString());
    plane.now = () => start + 3_601_000;
    await syncs(5);
    expect(writes).toBe(2);
    plane.now = () => start + 5_000_000;
    await syncs(2);
    await agent.close();
    expect(writes).toBe(3);
    const after = await vehicle.start({ url: 'ws://127.0.0.1:1/graphql' });
    expect(after.status().lastStatementAt).toBe(new Date(Math.floor((start + 5_000_000) / 1000) * 1000).toISOString());
  });

  test('by measurements, which are appended to the journal until it is full', async () => {
    await plane.put('a', { rules: [ON] });
    const [whole, appended] = [[] as string[], [] as number[]];
    const files: FileSystem = {
      ...nodeFileSystem,
      write(path, bytes) {
        if (isDatabase(path)) whole.push(path);
        return nodeFileSystem.write(path, bytes);
      },
      append(path, bytes) {
        appended.push(bytes.byteLength);
        return nodeFileSystem.append(path, bytes);
      },
    };
    const agent = await vehicle.start({ files, timings: { metricsWriteMs: 1, metricsIntervalMs: 600_000 } });
    await agent.ready();
    expect(whole).toHaveLength(1);
    for (let n = 0; whole.length < 2; n++) {
      agent.track('minutes', n, { flagKey: 'a', tags: { text: 'x'.repeat(900) } });
      if (n % 10 !== 9) continue;
      const { length } = appended;
      await eventually(() => appended.length > length || whole.length > 1, 'the queue is written');
    }
    expect(appended.reduce((sum, bytes) => sum + bytes, 0)).toBeGreaterThanOrEqual(JOURNAL_BYTES);
    expect(appended.length).toBeGreaterThan(3);
  });
});
