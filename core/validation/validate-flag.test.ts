import { describe, expect, it } from '@jest/globals';
import { validateFlagDescription, validateFlagKey, validateFlagName } from './validate-flag.ts';

const refused = (field: string) => expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field } });

describe('validateFlagKey', () => {
  it.each(['adas_lane_keep_v2', 'a', '7', 'A.b-c_d', 'k'.repeat(100)])('accepts %j', (key) => {
    expect(validateFlagKey(key, 'input.key')).toBe(key);
  });

  it.each(['', '_a', '.a', 'a b', 'a\n', 'ä', 'k'.repeat(101), null, undefined, 7])('refuses %j', (key) => {
    expect(() => validateFlagKey(key, 'input.key')).toThrow(refused('input.key'));
  });
});

describe('validateFlagName', () => {
  it('counts characters, not UTF-16 code units, and not the blanks around them', () => {
    expect(validateFlagName(' Lane\n', 'input.name')).toBe('Lane');
    expect(validateFlagName('🚗'.repeat(200), 'input.name')).toBe('🚗'.repeat(200));
  });

  it.each(['', '   ', '🚗'.repeat(201), 'a\0', 'a\nb', 'a\ud83d', null, undefined, 7])('refuses %j', (name) => {
    expect(() => validateFlagName(name, 'input.name')).toThrow(refused('input.name'));
  });
});

describe('validateFlagDescription', () => {
  it('takes absent and null for no description, and keeps an empty one', () => {
    expect(validateFlagDescription(undefined, 'input.description')).toBeNull();
    expect(validateFlagDescription(null, 'input.description')).toBeNull();
    expect(validateFlagDescription('', 'input.description')).toBe('');
    expect(validateFlagDescription(' \n', 'input.description')).toBe('');
    expect(validateFlagDescription('a\r\nb\n', 'input.description')).toBe('a\nb');
    expect(validateFlagDescription('x'.repeat(10_000), 'input.description')).toHaveLength(10_000);
  });

  it.each(['x'.repeat(10_001), 'a\0', 'a\u0007', 7, {}])('refuses %#', (description) => {
    expect(() => validateFlagDescription(description, 'input.description')).toThrow(refused('input.description'));
  });
});
