import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { eventually } from '../../../core/testing/eventually.ts';
import { sharedFieldLoader, sharedLoader, sharedLoaderById } from './shared-loader.ts';

/** A `find` whose answers come when the test says so. */
function held(timeoutMs?: number) {
  const calls: { readonly keys: readonly string[]; answer(): void; fail(): void }[] = [];
  const find = (keys: readonly string[]) =>
    new Promise<ReadonlyMap<string, string>>((resolve, reject) =>
      calls.push({
        keys,
        answer: () => resolve(new Map(keys.filter((key) => key !== 'unknown').map((key) => [key, `${key}!`]))),
        fail: () => reject(new Error('away')),
      }),
    );
  return { calls, loader: sharedLoader(find, (key: string) => key, timeoutMs) };
}
/** Lets everything that is due begin. */
const settle = async () => {
  for (let turn = 0; turn < 5; turn++) await nextTurn();
};

test('what is asked for while a read is under way shares the next one, each key once', async () => {
  const { calls, loader } = held();
  const first = loader.load('a');
  await settle();
  const later = [loader.load('b'), loader.load('b'), loader.load('unknown')];
  await settle();
  expect(calls.map(({ keys }) => keys)).toEqual([['a']]);
  calls[0]?.answer();
  expect(await first).toBe('a!');
  await settle();
  expect(calls.map(({ keys }) => keys)).toEqual([['a'], ['b', 'unknown']]);
  calls[1]?.answer();
  expect(await Promise.all(later)).toEqual(['b!', 'b!', null]);
});

test('a value is read again for each caller, and a failed read fails only for its own callers', async () => {
  const { calls, loader } = held();
  const failed = loader.load('a').catch((error: Error) => error.message);
  await settle();
  const again = loader.load('a');
  calls[0]?.fail();
  expect(await failed).toBe('away');
  await settle();
  calls[1]?.answer();
  expect(await again).toBe('a!');
});

test('a read that does not end holds up its own callers, and the others only for a moment', async () => {
  const { calls, loader } = held(10);
  const stuck = loader.load('a');
  await settle();
  const next = loader.load('b');
  await eventually(() => calls.length === 2);
  calls[1]?.answer();
  expect(await next).toBe('b!');
  calls[0]?.answer();
  expect(await stuck).toBe('a!');
});

test('rows are found by their ids', async () => {
  const loader = sharedLoaderById(async (ids) => ids.filter((id) => id !== 'c').map((id) => ({ id })));
  expect(await Promise.all(['a', 'c'].map((id) => loader.load(id)))).toEqual([{ id: 'a' }, null]);
});

test('the same field of many rows costs one read for each set of arguments', async () => {
  const asked: unknown[] = [];
  const loader = sharedFieldLoader(
    async (ids, first: number) => {
      asked.push([ids, first]);
      return new Map(ids.map((id) => [id, `${id}${first}`]));
    },
    (first) => `${first}`,
  );
  const load = (id: string, given: number) => loader.load({ id, given });
  expect(await Promise.all([load('a', 1), load('b', 1), load('a', 2), load('a', 1)])).toEqual(['a1', 'b1', 'a2', 'a1']);
  expect(asked).toEqual([
    [['a', 'b'], 1],
    [['a'], 2],
  ]);
});
