import { expect, test } from '@jest/globals';
import { emptySecretFault, openSecretFault } from './secret-file.ts';

test.each(['', '\n', ' \t\n'])('a secret file with %j in it is empty', (text) => {
  expect(emptySecretFault('/data/key', text)).toBe('/data/key is empty');
});

test('a secret file with a secret in it is not empty', () => {
  expect(emptySecretFault('/data/key', 'x\n')).toBeNull();
});

test('a secret file is open to everybody exactly where its last permission bits read or write', () => {
  const open = Array.from({ length: 0o1000 }, (_, mode) => mode).filter(
    (mode) => openSecretFault('/data/key', 0o100_000 | mode) !== null,
  );
  expect(open).toEqual(
    Array.from({ length: 0o1000 }, (_, mode) => mode).filter((mode) => [2, 3, 4, 5, 6, 7].includes(mode % 8)),
  );
  expect(openSecretFault('/data/key', 0o100_644)).toBe(
    '/data/key can be read or changed by every user of this machine (mode 644); run: chmod 600 /data/key',
  );
});
