import { beforeEach, describe, expect, test } from '@jest/globals';
import { FailedCredentials, MAX_FAILURES } from './failed-credentials.ts';

const ADDRESS = '192.0.2.1';
const unknown = async () => null;
const good = async () => 'found';
const limited = (retryAfter: number) => expect.objectContaining({ code: 'RATE_LIMITED', details: { retryAfter } });

let now: number;
let failures: FailedCredentials;
beforeEach(() => {
  now = 1_000;
  failures = new FailedCredentials(() => now);
});

async function fail(times: number, address: string | null = ADDRESS): Promise<void> {
  for (let count = 0; count < times; count++) await failures.lookUp(address, `wrong ${count}`, unknown);
}

describe('an address with too many wrong credentials', () => {
  test('is refused before the next is looked up, until a minute after the first', async () => {
    await fail(MAX_FAILURES - 1);
    now += 45_000;
    expect(await failures.lookUp(ADDRESS, 'one more', unknown)).toBeNull();
    await expect(failures.lookUp(ADDRESS, 'new', good)).rejects.toEqual(limited(15));
    now += 15_001;
    expect(await failures.lookUp(ADDRESS, 'new', good)).toBe('found');
  });

  test('is not refused a credential that was valid before, until it is invalid', async () => {
    await failures.lookUp(ADDRESS, 'mine', good);
    await fail(MAX_FAILURES);
    expect(await failures.lookUp(ADDRESS, 'mine', good)).toBe('found');
    expect(await failures.lookUp(ADDRESS, 'mine', unknown)).toBeNull();
    await expect(failures.lookUp(ADDRESS, 'mine', good)).rejects.toEqual(limited(60));
  });

  test('does not affect another address, nor an unknown one', async () => {
    await fail(MAX_FAILURES);
    expect(await failures.lookUp('192.0.2.2', 'new', good)).toBe('found');
    expect(await failures.lookUp(null, 'other', good)).toBe('found');
  });
});

test('one wrong credential that is sent again and again does not count as guessing', async () => {
  for (let times = 0; times < 2 * MAX_FAILURES; times++) await failures.lookUp(ADDRESS, 'of a forgotten tab', unknown);
  expect(await failures.lookUp(ADDRESS, 'new', good)).toBe('found');
});

test('a store that does not answer does not count as a failure', async () => {
  for (let times = 0; times < 2 * MAX_FAILURES; times++) {
    await expect(failures.lookUp(ADDRESS, `c${times}`, () => Promise.reject(new Error('down')))).rejects.toThrow(
      'down',
    );
  }
  expect(await failures.lookUp(ADDRESS, 'new', good)).toBe('found');
});
