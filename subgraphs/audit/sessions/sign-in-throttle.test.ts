import { beforeEach, expect, test } from '@jest/globals';
import type { RateLimiter } from '../../../core/access/rate-limiter.ts';
import { createInProcessStore, type KeyValueStore } from '../../shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../shared/stores/rate-limiter.ts';
import { SIGN_IN_LIMITS, SignInThrottle } from './sign-in-throttle.ts';

const EMAIL = 'ann@example.com';
const limited = expect.objectContaining({ code: 'RATE_LIMITED', details: { retryAfter: expect.any(Number) } });

let limiter: RateLimiter;
let store: KeyValueStore;
/** Every key that was used, and the seconds for which its value is kept. */
let used: Map<string, number>;
let throttle: SignInThrottle;

beforeEach(() => {
  used = new Map();
  const [counts, values] = [createInProcessRateLimiter(), createInProcessStore()];
  limiter = {
    ...counts,
    consume: (key, limit, seconds) => (used.set(key, seconds), counts.consume(key, limit, seconds)),
  };
  store = { ...values, set: (key, value, seconds) => (used.set(key, seconds), values.set(key, value, seconds)) };
  throttle = new SignInThrottle(limiter, store);
});

async function guesses(
  count: number,
  email: (index: number) => string,
  address: (index: number) => string | null,
): Promise<void> {
  for (let index = 0; index < count; index++) await throttle.attempt(email(index), address(index));
}

test('an account has ten guesses in a window, over all addresses and unknown ones together', async () => {
  await guesses(
    SIGN_IN_LIMITS.account,
    () => EMAIL,
    (index) => (index % 2 === 0 ? null : `192.0.2.${index}`),
  );
  for (const address of ['198.51.100.1', null, 'no address'])
    await expect(throttle.attempt(EMAIL, address)).rejects.toEqual(limited);
  await throttle.attempt('bob@example.com', null);
});

test('attempts whose password was not checked do not count', async () => {
  for (let index = 0; index < 100; index++) await (await throttle.attempt(EMAIL, '192.0.2.1')).takeBack();
  await guesses(
    SIGN_IN_LIMITS.account,
    () => EMAIL,
    () => '192.0.2.1',
  );
  await expect(throttle.attempt(EMAIL, '192.0.2.1')).rejects.toEqual(limited);
});

test.each([
  ['a network of IPv6', '2001:db8:0:1::1', '2001:db8:0:1:ffff:ffff:ffff:ffff', '2001:db8:0:2::1'],
  ['an IPv4 address, however it is written,', '192.0.2.1', '::ffff:192.0.2.1', '::ffff:192.0.2.2'],
  ['an address with a zone', 'fe80::1%eth0', 'fe80::2%eth1', '2001:db8::1'],
])('%s counts as one', async (_what, one, same, another) => {
  await guesses(
    SIGN_IN_LIMITS.address,
    (index) => `victim-${index}@example.com`,
    (index) => (index % 2 === 0 ? one : same),
  );
  for (const address of [one, same]) await expect(throttle.attempt(EMAIL, address)).rejects.toEqual(limited);
  await throttle.attempt(EMAIL, another);
});

test("an address that is refused does not use up the account's limit", async () => {
  await guesses(
    SIGN_IN_LIMITS.address,
    (index) => `victim-${index}@example.com`,
    () => '192.0.2.1',
  );
  for (let index = 0; index < 50; index++) await expect(throttle.attempt(EMAIL, '192.0.2.1')).rejects.toEqual(limited);
  await throttle.attempt(EMAIL, '192.0.2.2');
});

test("signing in to one's own account between guesses at others gives no more guesses", async () => {
  for (let index = 0; index < SIGN_IN_LIMITS.address; index++) {
    await throttle.attempt(`victim-${index}@example.com`, '192.0.2.1');
    if (index < SIGN_IN_LIMITS.address - 1)
      await (await throttle.attempt('mallory@example.com', '192.0.2.1')).succeeded();
  }
  await expect(throttle.attempt(EMAIL, '192.0.2.1')).rejects.toEqual(limited);
});

test('an address from which an account has signed in is known for that account only', async () => {
  await (await throttle.attempt(EMAIL, '192.0.2.1')).succeeded();
  await guesses(
    SIGN_IN_LIMITS.address,
    (index) => `victim-${index}@example.com`,
    () => '192.0.2.1',
  );
  await expect(throttle.attempt('bob@example.com', '192.0.2.1')).rejects.toEqual(limited);
  await guesses(
    SIGN_IN_LIMITS.knownAddress,
    () => EMAIL,
    () => '192.0.2.1',
  );
  await expect(throttle.attempt(EMAIL, '192.0.2.1')).rejects.toEqual(limited);
  await throttle.attempt(EMAIL, '192.0.2.2');
});

test('stored keys contain neither e-mail nor address, and expire', async () => {
  await (await throttle.attempt(EMAIL, '192.0.2.1')).succeeded();
  await throttle.attempt(EMAIL, '192.0.2.1');
  expect([...used.values()].sort()).toEqual(
    [
      SIGN_IN_LIMITS.windowSeconds,
      SIGN_IN_LIMITS.windowSeconds,
      SIGN_IN_LIMITS.windowSeconds,
      SIGN_IN_LIMITS.knownSeconds,
    ].sort(),
  );
  expect([...used.keys()].join()).not.toMatch(/ann|example|192|0\.2/);
});

test('while the store is down nobody can sign in; when it goes down during an attempt, that attempt is not refused', async () => {
  const away = new Error('away');
  const down = new SignInThrottle(limiter, { ...store, get: () => Promise.reject(away) });
  await expect(down.attempt(EMAIL, '192.0.2.1')).rejects.toBe(away);
  expect(used.size).toBe(0);
  const going = new SignInThrottle(limiter, { ...store, set: () => Promise.reject(away) });
  await (await going.attempt(EMAIL, '192.0.2.1')).succeeded();
});
