import { describe, expect, it } from '@jest/globals';
import { BUCKETS, bucketOf, murmur3 } from './bucket.ts';

describe('murmur3', () => {
  // Published vectors of MurmurHash3_x86_32 with seed 0.
  it.each([
    ['', 0],
    ['a', 0x3c2569b2],
    ['abc', 0xb3dd93fa],
    ['Hello, world!', 0xc0363e43],
    ['The quick brown fox jumps over the lazy dog', 0x2e4ff723],
  ])('hashes %j as the reference does', (text, hash) => {
    expect(murmur3(text)).toBe(hash);
  });

  it.each([
    ['two bytes', 'ππππππππ', 0xec72b6e8],
    ['four bytes', 'ad😀b', 0x47451866],
  ])('hashes the UTF-8 bytes of characters of %s', (_, text, hash) => {
    expect(murmur3(text)).toBe(hash);
  });

  it('reads half of a surrogate pair as U+FFFD', () => {
    expect(murmur3('a\ud83d')).toBe(murmur3('a\ufffd'));
    expect(murmur3('\ude00a')).toBe(murmur3('\ufffda'));
  });
});

describe('bucketOf', () => {
  it('hashes salt and VIN joined by a colon and scales by multiply-shift', () => {
    const hash = BigInt(murmur3('adas:KMH1234567890ABCD'));
    expect(bucketOf('adas', 'KMH1234567890ABCD')).toBe(Number((hash * BigInt(BUCKETS)) >> 32n));
  });

  it('mixes a nonce in as a third part of the key', () => {
    const hash = BigInt(murmur3('adas:KMH1234567890ABCD:boot-1'));
    expect(bucketOf('adas', 'KMH1234567890ABCD', 'boot-1')).toBe(Number((hash * BigInt(BUCKETS)) >> 32n));
  });

  it('gives the sticky bucket for an empty nonce', () => {
    expect(bucketOf('adas', 'KMH1234567890ABCD', '')).toBe(bucketOf('adas', 'KMH1234567890ABCD'));
  });
});
