import { describe, expect, it } from '@jest/globals';
import { apiKeyHash, apiKeyPrefix, isApiKey, looksLikeApiKey, newApiKey } from './api-key.ts';

describe('an API key', () => {
  it('has a prefix that it begins with, that no other key has, and that fits its column', () => {
    const keys = Array.from({ length: 1_000 }, newApiKey);
    expect(new Set(keys.map(apiKeyPrefix)).size).toBe(keys.length);
    for (const key of keys) {
      expect(isApiKey(key)).toBe(true);
      expect(apiKeyPrefix(key)).toMatch(/^ff_[A-Za-z0-9_-]{12}$/);
      expect(key.startsWith(apiKeyPrefix(key))).toBe(true);
      // What is not shown is far beyond guessing.
      expect(key.length - apiKeyPrefix(key).length).toBeGreaterThan(30);
    }
  });

  it.each([
    'ff_api_key_tier1_companyA_',
    'ff_api_key_Tier_1_Societe_A_',
    'ff_api_key_ABC_______',
    'ff_api_key___________',
  ])('of the older form, beginning with %s, is still accepted', (beginning) => {
    expect(isApiKey(`${beginning}${'r'.repeat(43)}`)).toBe(true);
  });

  it('is not a shorter or longer text, or one with other characters', () => {
    const key = newApiKey();
    for (const text of [
      '',
      'ff_api_key_',
      key.slice(0, -1),
      `${key}\n`,
      ` ${key}`,
      key.replace('ff_', 'FF_'),
      `${key.slice(0, -1)}=`,
      `ff_api_key_${'a'.repeat(100)}_${key.slice(-43)}`,
    ]) {
      expect(isApiKey(text)).toBe(false);
    }
  });

  it('looks like a key by its beginning, even when it is cut off, and no other text does', () => {
    const key = newApiKey();
    expect([key, key.slice(0, 20)].every(looksLikeApiKey)).toBe(true);
    expect(['', 'ffs_x', ` ${key}`].some(looksLikeApiKey)).toBe(false);
  });

  it('is kept as its SHA-256', () => {
    expect(apiKeyHash('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});
