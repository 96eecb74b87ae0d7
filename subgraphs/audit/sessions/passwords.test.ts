import { expect, test } from '@jest/globals';
import { verify } from 'argon2';
import { Passwords, hashPassword } from './passwords.ts';

test('a password is hashed as the specification says, each time with another salt', async () => {
  const [first, second] = await Promise.all([hashPassword('correct horse'), hashPassword('correct horse')]);
  expect(first).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  expect(second).not.toBe(first);
  expect(await verify(first, 'correct horse')).toBe(true);
});

test('only the right password matches, and none where there is no account', async () => {
  const passwords = await Passwords.create();
  const hash = await hashPassword('correct horse');
  expect(await passwords.matches(hash, 'correct horse')).toBe(true);
  expect(await passwords.matches(hash, 'correct house')).toBe(false);
  expect(await passwords.matches(null, 'correct horse')).toBe(false);
});

test('checking an unknown account costs as much as a known one', async () => {
  const passwords = await Passwords.create();
  const hash = await hashPassword('correct horse');
  /** Measured in processor time, which does not depend on other load of the machine. */
  const cost = async (passwordHash: string | null) => {
    const before = process.cpuUsage();
    for (let run = 0; run < 8; run++) await passwords.matches(passwordHash, 'guess');
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  const ratio = (await cost(null)) / (await cost(hash));
  expect(ratio).toBeGreaterThan(0.5);
  expect(ratio).toBeLessThan(2);
});

test('beyond the running and waiting computations one more is refused, and the place is free again afterwards', async () => {
  const passwords = await Passwords.create({ running: 2, waiting: 1 });
  const hash = await hashPassword('correct horse');
  const answers = await Promise.allSettled(Array.from({ length: 5 }, () => passwords.matches(hash, 'correct horse')));
  expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected']);
  expect(answers[3]).toMatchObject({ reason: { code: 'RATE_LIMITED', details: { retryAfter: 1 } } });
  expect(await Promise.all([1, 2, 3].map(() => passwords.matches(hash, 'correct horse')))).toEqual([true, true, true]);
});

test('a check that fails for a malformed hash releases its place', async () => {
  const passwords = await Passwords.create({ running: 1, waiting: 0 });
  await expect(passwords.matches('broken', 'x')).rejects.toThrow();
  expect(await passwords.matches(null, 'x')).toBe(false);
});
