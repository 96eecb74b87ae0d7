import { describe, expect, jest, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import { FleetFlagError } from '../../core/errors.ts';
import type { VehicleCaller } from '../../core/access/caller.ts';
import type { Environment } from '../../core/model.ts';
import { PartitionDirectory } from './partition-directory.ts';

const vinOf = (index: number) => `KMHK281HGNU${String(index).padStart(6, '0')}`;
const vehicle = (index: number): VehicleCaller => ({ kind: 'vehicle', vin: vinOf(index), environment: 'production' });

/** A directory over a flags subgraph whose answers a test decides. */
function directory(answer: (vins: readonly string[]) => Promise<ReadonlyMap<string, string>>) {
  const questions: { readonly environment: Environment; readonly vins: readonly string[] }[] = [];
  const logged: string[] = [];
  const log = (_: object, message: string) => void logged.push(message);
  const it = new PartitionDirectory(
    (environment, vins) => {
      questions.push({ environment, vins });
      return answer(vins);
    },
    { info: log, warn: log, error: log },
  );
  return { it, questions, logged };
}

const all = (partition: string) => async (vins: readonly string[]) => new Map(vins.map((vin) => [vin, partition]));

describe('the partitions of vehicles that connect', () => {
  test('a storm of 19,000 costs few questions, of at most 1,000 vehicles each', async () => {
    const { it, questions } = directory(all('Model_X'));
    const placed = await Promise.all(Array.from({ length: 19_000 }, (_, index) => it.place(vehicle(index), true)));
    expect(new Set(placed.map(({ partition }) => partition))).toEqual(new Set(['Model_X']));
    expect(questions.length).toBeLessThanOrEqual(25);
    expect(Math.max(...questions.map(({ vins }) => vins.length))).toBeLessThanOrEqual(1_000);
  });

  test('are asked for by a question that begins after the vehicle came', async () => {
    const release: (() => void)[] = [];
    const { it, questions } = directory(async (vins) => {
      await new Promise<void>((resolve) => release.push(resolve));
      return new Map(vins.map((vin) => [vin, `model ${questions.length}`]));
    });
    const first = it.place(vehicle(1), true);
    await eventually(() => release[0], 'a question');
    const second = it.place(vehicle(1), true);
    release[0]?.();
    expect((await first).partition).toBe('model 1');
    await eventually(() => release[1], 'a second question');
    release[1]?.();
    expect((await second).partition).toBe('model 2');
  });

  test('are the last known ones while the flags subgraph does not answer, and never guessed', async () => {
    let answer = all('Model_X');
    const { it, logged } = directory((vins) => answer(vins));
    await it.place(vehicle(1), true);
    answer = () => Promise.reject(new Error('away'));
    expect(await it.place(vehicle(1), true)).toEqual({ ...vehicle(1), partition: 'Model_X' });
    await expect(it.place(vehicle(2), true)).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    await expect(it.place({ ...vehicle(1), environment: 'staging' }, true)).rejects.toBeInstanceOf(FleetFlagError);
    expect(logged).toHaveLength(1);
  });

  test('are the last known ones for a vehicle whose model is no longer known', async () => {
    let answer = all('Model_X');
    const { it } = directory((vins) => answer(vins));
    await it.place(vehicle(1), true);
    answer = async () => new Map();
    expect((await it.place(vehicle(1), true)).partition).toBe('Model_X');
    await expect(it.place(vehicle(2), true)).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  });

  test('are asked for again by a single request only after a move, and while moves are not followed', async () => {
    let answer = all('A');
    const { it, questions } = directory((vins) => answer(vins));
    await it.place(vehicle(1), true);
    await it.place(vehicle(1), false);
    expect(questions).toHaveLength(2);
    it.followed();
    answer = all('B');
    expect((await it.place(vehicle(1), false)).partition).toBe('A');
    it.doubt(({ vin }) => vin === vinOf(1));
    expect((await it.place(vehicle(1), false)).partition).toBe('B');
    expect((await it.place(vehicle(1), false)).partition).toBe('B');
    expect(questions).toHaveLength(3);
    await it.place(vehicle(1), true);
    expect(questions).toHaveLength(4);
  });

  test('a question that is never answered holds nobody for longer than its timeout', async () => {
    jest.useFakeTimers();
    try {
      const { it } = directory(() => new Promise(() => undefined));
      const refused = expect(it.place(vehicle(1), true)).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
      await jest.advanceTimersByTimeAsync(2_100);
      await refused;
    } finally {
      jest.useRealTimers();
    }
  });
});
