import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readActorName, readLine, readLines } from './text.ts';

const RUNS = { numRuns: 500, seed: 20_261_128 };
const NAME = { what: 'A name', max: 5 };
const NOTE = { what: 'A note', max: 8, mayBeEmpty: true };
const refused = expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field: 'input.name' } });

describe('readLine', () => {
  it.each([
    ['Lane', 'Lane'],
    ['  Lane\n', 'Lane'],
    ['차선 🚗', '차선 🚗'],
    ['🚗🚗🚗🚗🚗', '🚗🚗🚗🚗🚗'],
  ])('keeps %j as %j', (text, kept) => {
    expect(readLine(text, 'input.name', NAME)).toBe(kept);
  });

  it.each([
    '',
    ' \n',
    '🚗🚗🚗🚗🚗🚗',
    'a\nb',
    'a\tb',
    'a\rb',
    'a\0b',
    'a\x1bb',
    'a\x85b',
    'a\u2028b',
    'a\ud83d',
    null,
    undefined,
    7,
  ])('refuses %j', (text) => {
    expect(() => readLine(text, 'input.name', NAME)).toThrow(refused);
  });
});

describe('readActorName', () => {
  it.each([
    [' 차선 ', '차선'],
    ['Ａｎｎ', 'Ann'],
    ['Zoe\u0308', 'Zo\u00eb'],
  ])('keeps %j as %j', (text, kept) => {
    expect(readActorName(text, 'input.name', NAME)).toBe(kept);
  });

  it.each([
    'A\u200bn',
    'A\u200d',
    '\u202enA',
    '\u2066A',
    'A\ufeffn',
    'A\u00adn',
    'A\u061c',
    '\u180eA',
    'A\u{e0041}',
    '\u3164',
    'A\u034fB',
    'A\ufe0f',
    'a\tb',
    'a\u2028b',
    '\u200b',
    null,
    7,
  ])('refuses %j', (text) => {
    expect(() => readActorName(text, 'input.name', NAME)).toThrow(refused);
  });

  it('lets nothing through that is not seen', () => {
    const unit = fc.oneof(
      fc.constantFrom('a', ' ', '\u{1f697}'),
      fc
        .integer({ min: 0, max: 0x10ffff })
        .filter((code) => code < 0xd800 || code > 0xdfff)
        .map((code) => String.fromCodePoint(code)),
      fc.integer({ min: 0x2000, max: 0x206f }).map((code) => String.fromCodePoint(code)),
    );
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 12 }), (text) => {
        let name: string;
        try {
          name = readActorName(text, 'at', { what: 'A name', max: 100 });
        } catch {
          return;
        }
        expect(name).not.toMatch(/\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}|\p{Cs}/u);
        expect(readActorName(name, 'at', { what: 'A name', max: 100 })).toBe(name);
      }),
      RUNS,
    );
  });
});

describe('readLines', () => {
  it.each([
    [' \n', ''],
    ['a\nb', 'a\nb'],
    ['a\r\nb\rc', 'a\nb\nc'],
    ['\ta\n\n b\t', 'a\n\n b'],
  ])('keeps %j as %j', (text, kept) => {
    expect(readLines(text, 'input.name', NOTE)).toBe(kept);
  });

  it.each(['123456789', 'a\0b', 'a\x7fb', 'a\u0007', 'a\udc00', null, {}])('refuses %j', (text) => {
    expect(() => readLines(text, 'input.name', NOTE)).toThrow(refused);
  });
});

describe('what is kept', () => {
  it('is kept again as it is', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom('a', ' ', '\n', '\r', '\t', '\u2028', '\ufeff', '🚗') }),
    );
    fc.assert(
      fc.property(text, fc.constantFrom(readLine, readLines), (text, read) => {
        const limits = { what: 'This', max: 1_000, mayBeEmpty: true };
        let kept: string;
        try {
          kept = read(text, 'at', limits);
        } catch {
          return;
        }
        expect(read(kept, 'at', limits)).toBe(kept);
        expect(kept).toBe(kept.trim());
      }),
      RUNS,
    );
  });
});
