import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { SharedReading } from './shared-reading.ts';

function counted(): { readonly reading: SharedReading; readonly reads: () => number } {
  let reads = 0;
  return { reading: new SharedReading(() => ++reads), reads: () => reads };
}

test('a clock is read once in a synchronous run, and again in the next one', async () => {
  const { reading, reads } = counted();
  expect([reading.get(), reading.get(), reading.get()]).toEqual([1, 1, 1]);
  await turn();
  expect([reading.get(), reading.get()]).toEqual([2, 2]);
  expect(reads()).toBe(2);
});

test('a clock is read again after every wait, however short', async () => {
  const { reading } = counted();
  const read: number[] = [];
  for (let wait = 0; wait < 3; wait++) {
    read.push(reading.get());
    await new Promise((resolve) => process.nextTick(resolve));
  }
  expect(read).toEqual([1, 2, 3]);
});

test('a clock that was set is read again at once', () => {
  const { reading } = counted();
  reading.get();
  reading.forget();
  expect(reading.get()).toBe(2);
});
