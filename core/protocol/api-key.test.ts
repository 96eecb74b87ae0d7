import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { apiKeyHash, apiKeyPrefix, isApiKey, looksLikeApiKey, newApiKey } from './api-key.ts';

describe('an API key', () => {
  it.each([
    ['tier1_companyA', 'ff_api_key_tier1_companyA_', 'ff_api_key_tier1_com'],
    ['Tier 1, Société A', 'ff_api_key_Tier_1_Societe_A_', 'ff_api_key_Tier_1_So'],
    ['ABC', 'ff_api_key_ABC_______', 'ff_api_key_ABC______'],
    ['車', 'ff_api_key__________', 'ff_api_key__________'],
  ])('for %s begins with its name', (name, beginning, prefix) => {
    const key = newApiKey(name);
    expect(key.startsWith(beginning)).toBe(true);
    expect(apiKeyPrefix(key)).toBe(prefix);
  });

  it('has its form whatever the name is, and a prefix of 20 characters that is the same for every key of the name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const [one, other] = [newApiKey(name), newApiKey(name)];
        expect(isApiKey(one)).toBe(true);
        expect(one).not.toBe(other);
        expect(apiKeyPrefix(one)).toHaveLength(20);
        expect(apiKeyPrefix(one)).toBe(apiKeyPrefix(other));
        expect(one.length).toBe(other.length);
      }),
    );
  });

  it('is not what is shorter, longer or of other characters', () => {
    const key = newApiKey('tier1');
    for (const text of ['', 'ff_api_key_', key.slice(0, -1), `${key}\n`, ` ${key}`, key.replace('ff_', 'FF_'), `${key.slice(0, -1)}=`, `ff_api_key_${'a'.repeat(100)}_${key.slice(-43)}`]) {
      expect(isApiKey(text)).toBe(false);
    }
  });

  it('is taken for one by its beginning, cut off or not, and nothing else is', () => {
    const key = newApiKey('tier1');
    expect([key, key.slice(0, 20)].every(looksLikeApiKey)).toBe(true);
    expect(['', 'ffs_x', ` ${key}`].some(looksLikeApiKey)).toBe(false);
  });

  it('is kept as its SHA-256', () => {
    expect(apiKeyHash('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});
