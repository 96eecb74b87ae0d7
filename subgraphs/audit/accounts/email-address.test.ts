import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isEmailAddress } from './email-address.ts';

test.each([
  'sam@example.com',
  "o'neil+flags@sub.example.co.kr",
  'a.b_c@xn--3e0b707e.kr',
  'admin@fleetflag.local',
  'x@localhost',
  `${'x'.repeat(64)}@example.com`,
])('%s is valid', (address) => {
  expect(isEmailAddress(address)).toBe(true);
});

describe('an address that could be confused with another, or that is none, is refused', () => {
  test.each([
    ['a zero-width space', 'sa\u200Bm@example.com'],
    ['a zero-width joiner at its end', 'sam\u200D@example.com'],
    ['a soft hyphen', 'sa\u00ADm@example.com'],
    ['full-width letters', '\uFF53\uFF41\uFF4D@example.com'],
    ['a full-width at', 'sam\uFF20example.com'],
    ['a dotless i', 'adm\u0131n@example.com'],
    ['a Cyrillic a', 's\u0430m@example.com'],
    ['a Greek omicron in its domain', 'sam@c\u03BFm.example'],
    ['a combining dot', 'sam\u0307@example.com'],
    ['the Kelvin sign', '\u212Aim@example.com'],
    ['direction marks', '\u202Emas@example.com'],
    ['a no-break space', 'sam\u00A0@example.com'],
    ['a quoted local part', '" sam"@example.com'],
    ['no local part', '@example.com'],
    ['no domain', 'sam@'],
    ['no at', 'sam'],
    ['two dots', 'sam..safety@example.com'],
    ['a dot at the end', 'sam.@example.com'],
    ['a label that ends with a hyphen', 'sam@example-.com'],
    ['what is too long', `sam@${`${'x'.repeat(60)}.`.repeat(5)}com`],
  ])('%s', (_what, address) => {
    expect(isEmailAddress(address)).toBe(false);
  });

  test('with any character beyond ASCII, at any place', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }), fc.nat(15), (character, at) => {
        const address = `${'sam@example.com'.slice(0, at)}${character}${'sam@example.com'.slice(at)}`;
        return (character.codePointAt(0) ?? 0) <= 0x7e || !isEmailAddress(address);
      }),
    );
  });
});
