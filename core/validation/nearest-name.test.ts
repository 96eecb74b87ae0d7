import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { nearestName } from './nearest-name.ts';

const NAMES = ['token-file', 'listen', 'keys', 'allow-remote', 'FLEETFLAG_DATA_DIR', 'FLEETFLAG_FLAGS_URL'];

test.each([
  ['tokenfile', 'token-file'],
  ['TOKEN_FILE', 'token-file'],
  ['lsiten', 'listen'],
  ['key', 'keys'],
  ['FLEETFLAG_DATADIR', 'FLEETFLAG_DATA_DIR'],
  ['FLEETFLAG_FLAG_URL', 'FLEETFLAG_FLAGS_URL'],
  ['verbose', null],
  ['', null],
])('%j is taken for %j', (given, meant) => {
  expect(nearestName(given, NAMES)).toBe(meant);
});

test('a name is nearest to itself, and to itself with one letter added, changed or swapped', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...NAMES),
      fc.nat(40),
      fc.constantFrom('add', 'change', 'swap', 'nothing'),
      (name, place, how) => {
        const at = place % (name.length - 1);
        const letters = [...name];
        if (how === 'add') letters.splice(at, 0, 'x');
        if (how === 'change') letters[at] = 'x';
        if (how === 'swap') [letters[at], letters[at + 1]] = [letters[at + 1]!, letters[at]!];
        expect(nearestName(letters.join(''), NAMES)).toBe(name);
      },
    ),
  );
});
