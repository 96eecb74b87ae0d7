import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { placeOf, whileWaiting } from './waiting.ts';

let lines: unknown[];
const logger = { info: (...line: unknown[]) => void lines.push(line) };

beforeEach(() => {
  lines = [];
  jest.useFakeTimers();
});
afterEach(() => void jest.useRealTimers());

test('a step that takes long is named again and again until it is done, and no longer', async () => {
  let finish: ((result: string) => void) | undefined;
  const step = whileWaiting(
    logger,
    'PostgreSQL at db:5432',
    () => new Promise<string>((resolve) => (finish = resolve)),
  );
  jest.advanceTimersByTime(4_900);
  expect(lines).toEqual([]);
  jest.advanceTimersByTime(200);
  expect(lines).toEqual([[{ seconds: 5 }, 'Starting: it waits for PostgreSQL at db:5432']]);
  jest.advanceTimersByTime(15_000);
  expect(lines[1]).toEqual([{ seconds: 20 }, 'Starting: it waits for PostgreSQL at db:5432']);
  finish?.('done');
  await expect(step).resolves.toBe('done');
  jest.advanceTimersByTime(60_000);
  expect(lines).toHaveLength(2);
});

test('a step that fails is no longer waited for', async () => {
  const failure = new Error('no such server');
  await expect(whileWaiting(logger, 'PostgreSQL', () => Promise.reject(failure))).rejects.toBe(failure);
  jest.advanceTimersByTime(60_000);
  expect(lines).toEqual([]);
});

test('the place of a server has neither its account nor its password', () => {
  expect(placeOf('postgresql://fleet:secret@db:5432/flags?sslmode=require')).toBe('db:5432/flags');
  expect(placeOf('redis://cache')).toBe('cache');
});
