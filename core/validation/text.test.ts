import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readActorName, readLabel, readLine, readLines, readOptionalReason, readReason } from './text.ts';

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

  it('accepts no invisible character', () => {
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

/** Whether a character may be invisible. */
const INVISIBLE = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/u;
const LONG = { what: 'This', max: 1_000 };

describe('an invisible character in prose', () => {
  it.each([
    '\u2764\ufe0f',
    '1\ufe0f\u20e3',
    '\u{1f469}\u200d\u{1f527}',
    '\u{1f469}\u{1f3fd}\u200d\u{1f527}',
    '\u{1f3f3}\ufe0f\u200d\u{1f308}',
    '\u{1f468}\u200d\u2764\ufe0f\u200d\u{1f468}',
    '\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}',
    '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645',
    '\u0dc1\u0dca\u200d\u0dbb\u0dd3',
    '\u845b\u{e0100}',
    '\uc790\ub3d9\uc870\ud5a5',
    '\u110c\u1161\u1103\u1169\u11bc',
  ])('is kept where it is needed for what is seen: %j', (text) => {
    for (const read of [readLine, readLines]) {
      expect(read(text, 'at', LONG)).toBe(text);
      expect(read(`a ${text} b`, 'at', LONG)).toBe(`a ${text} b`);
    }
  });

  it.each([
    'lane\u200bkeep',
    'lane\u200dkeep',
    '\u202eenal',
    '\u2066lane\u2069',
    'lane\ufe0f',
    '1\ufe0f',
    '\u{1f697}\u200dlane',
    '\u{1f697}\ufe0f\ufe0f',
    '\u{1f697}\u200d\u200d\u{1f697}',
    '\u{1f3f4}\u{e0067}\u{e0062}\u{e007f}',
    '\u{1f3f4}\u{e0068}\u{e0069}\u{e007f}',
    '\uc870\u200d\ud5a5',
    '\uc870\u3164\ud5a5',
    '\u1160\uc870',
    'a\u00adb',
    '\ufeffa\ufeffb',
    '\u0645\u200c',
    'a\u{e0100}',
  ])('is refused where nothing shows it: %j', (text) => {
    for (const read of [readLine, readLines])
      expect(() => read(`a${text}b`, 'input.name', LONG)).toThrow(
        expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field: 'input.name' } }),
      );
  });

  it('is refused in a label wherever it stands', () => {
    expect(readLabel(' Ioniq 5 ', 'at', LONG)).toBe('Ioniq 5');
    expect(readLabel('\uff21', 'at', LONG)).toBe('\uff21');
    for (const text of ['EV9\u200b', '\u2764\ufe0f', '\u0645\u06cc\u200c\u062e'])
      expect(() => readLabel(text, 'at', LONG)).toThrow('invisible');
  });

  it('is never the only difference between two texts of letters, digits and blanks', () => {
    const unit = fc.oneof(
      fc.constantFrom('a', '1', ' ', '\uc870', '\u0430', '\u200b', '\u200d', '\ufe0f', '\u{e0100}', '\u{e0067}'),
      fc.integer({ min: 0x2000, max: 0x206f }).map((code) => String.fromCodePoint(code)),
    );
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 12 }), fc.constantFrom(readLine, readLines), (text, read) => {
        let kept: string;
        try {
          kept = read(text, 'at', LONG);
        } catch {
          return;
        }
        expect(kept).not.toMatch(INVISIBLE);
      }),
      RUNS,
    );
  });
});

describe('what is kept', () => {
  it('is accepted again unchanged', () => {
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

describe('reasons', () => {
  it('are kept without the blanks around them', () => {
    expect(readReason(' brakes \n', 'reason')).toBe('brakes');
    expect(readOptionalReason(' brakes \n', 'reason')).toBe('brakes');
  });

  it.each([[''], [' \n'], [null], [undefined]])(
    'of %j are none where one may be left out, and refused elsewhere',
    (text) => {
      expect(readOptionalReason(text, 'reason')).toBeNull();
      expect(() => readReason(text, 'reason')).toThrow('A reason must have 1 to 1000 characters and not be blank.');
    },
  );

  it('have at most 1,000 characters', () => {
    expect(() => readReason('x'.repeat(1_001), 'reason')).toThrow('A reason must have 1 to 1000 characters');
    expect(() => readOptionalReason('x'.repeat(1_001), 'comment', 'A comment')).toThrow(
      'A comment must have at most 1000',
    );
  });
});
