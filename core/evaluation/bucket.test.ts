import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../testing/rounds.ts';
import { BUCKETS, bucketing, murmur3 } from './bucket.ts';

/** MurmurHash3_x86_32 in its plain form: over the encoded bytes, one after the other. */
function plainMurmur3(text: string): bigint {
  const rotate = (value: bigint, bits: bigint) => ((value << bits) | (value >> (32n - bits))) & 0xffffffffn;
  const times = (value: bigint, factor: bigint) => (value * factor) & 0xffffffffn;
  const mixed = (block: bigint) => times(rotate(times(block, 0xcc9e2d51n), 15n), 0x1b873593n);
  const bytes = new TextEncoder().encode(text);
  let hash = 0n;
  for (let at = 0; at < bytes.length; at += 4) {
    const block = [...bytes.subarray(at, at + 4)].reduce(
      (sum, byte, index) => sum | (BigInt(byte) << BigInt(8 * index)),
      0n,
    );
    hash ^= mixed(block);
    if (at + 4 <= bytes.length) hash = (times(rotate(hash, 13n), 5n) + 0xe6546b64n) & 0xffffffffn;
  }
  hash ^= BigInt(bytes.length);
  hash = times(hash ^ (hash >> 16n), 0x85ebca6bn);
  hash = times(hash ^ (hash >> 13n), 0xc2b2ae35n);
  return hash ^ (hash >> 16n);
}

const plainBucket = (key: string) => Number((plainMurmur3(key) * BigInt(BUCKETS)) >> 32n);

/** Text with characters of one to four bytes, halves of surrogate pairs, and long runs of ASCII. */
const text = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'Z', '7', 'é', '안', '😀', '\ud83d', '\ude00'), maxLength: 30 }),
  fc.string({ unit: 'grapheme-ascii', maxLength: 30 }),
);

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

  it('hashes any text as the plain form does', () => {
    fc.assert(
      fc.property(text, (text) => murmur3(text) === Number(plainMurmur3(text))),
      { numRuns: rounds(300, 3_000) },
    );
  });
});

describe('the bucket of a vehicle', () => {
  it('is the hash of salt and VIN joined by a colon, scaled by multiply-shift, for any text', () => {
    fc.assert(
      fc.property(text, fc.array(text, { minLength: 1, maxLength: 4 }), (salt, vins) => {
        const bucketOf = bucketing(salt);
        for (const vin of vins) expect(bucketOf(vin)).toBe(plainBucket(`${salt}:${vin}`));
      }),
      { numRuns: rounds(200, 2_000) },
    );
  });

  it('mixes a nonce in as a third part of the key, and an empty one not at all', () => {
    const bucketOf = bucketing('adas');
    expect(bucketOf('KMH1234567890ABCD', 'boot-1')).toBe(plainBucket('adas:KMH1234567890ABCD:boot-1'));
    expect(bucketOf('KMH1234567890ABCD', '')).toBe(bucketOf('KMH1234567890ABCD'));
  });
});
