/**
 * Bucketing: `bucket = (murmur3_32(utf8("<salt>:<vin>"), seed 0) × 100000) >> 32` (64-bit product).
 * Source: design.md, "Evaluation".
 *
 * The hash is written out so that an evaluation allocates nothing: a package that hashes bytes needs the text encoded
 * into an array first. Packages that hash UTF-16 code units instead would also disagree with other languages on a salt
 * that is not ASCII.
 */

/** The number of buckets, from 0 to 99,999: each is a thousandth of a percent. */
export const BUCKETS = 100_000;

const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;
const REPLACEMENT_CHARACTER = 0xfffd;

function mixBlock(block: number): number {
  const scrambled = Math.imul(block, C1);
  return Math.imul((scrambled << 15) | (scrambled >>> 17), C2);
}

/**
 * Gives the code point at `index`. A surrogate without its partner becomes U+FFFD, as it does wherever UTF-16 is
 * encoded as UTF-8 (WHATWG Encoding).
 */
function scalarAt(text: string, index: number): number {
  const point = text.codePointAt(index)!;
  return point >= 0xd800 && point <= 0xdfff ? REPLACEMENT_CHARACTER : point;
}

/**
 * Hashes the UTF-8 bytes of `text` with MurmurHash3_x86_32, seed 0, without allocating the bytes. Source:
 * https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp
 *
 * @returns an unsigned 32-bit integer
 */
export function murmur3(text: string): number {
  let hash = 0;
  let block = 0;
  let filledBits = 0;
  let length = 0;
  for (let index = 0; index < text.length; index++) {
    // The character's UTF-8 bytes, first byte lowest.
    let bytes = text.charCodeAt(index);
    let count = 1;
    if (bytes >= 0x80) {
      const point = scalarAt(text, index);
      if (point < 0x800) {
        bytes = 0x80c0 | (point >> 6) | ((point & 0x3f) << 8);
        count = 2;
      } else if (point < 0x10000) {
        bytes = 0x8080e0 | (point >> 12) | (((point >> 6) & 0x3f) << 8) | ((point & 0x3f) << 16);
        count = 3;
      } else {
        bytes =
          0x808080f0 |
          (point >> 18) |
          (((point >> 12) & 0x3f) << 8) |
          (((point >> 6) & 0x3f) << 16) |
          ((point & 0x3f) << 24);
        count = 4;
        index++;
      }
    }
    length += count;
    for (; count > 0; count--) {
      block |= (bytes & 0xff) << filledBits;
      bytes >>>= 8;
      filledBits += 8;
      if (filledBits === 32) {
        hash ^= mixBlock(block);
        hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64;
        block = 0;
        filledBits = 0;
      }
    }
  }
  // A tail of no bytes mixes to 0, which changes nothing.
  hash ^= mixBlock(block);
  hash ^= length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * Gives the bucket of a vehicle under a salt. It is the same in every language, and never changes.
 *
 * @param salt the flag's key, or the salt that its conditions name
 * @param vin the VIN as the context has it; its case matters
 * @param nonce the string that an agent draws at each start for `sticky: false`; the hashed key becomes
 *   `<salt>:<vin>:<nonce>`. Absent or empty, it gives the sticky bucket
 * @returns 0 … 99999
 */
export function bucketOf(salt: string, vin: string, nonce = ''): number {
  const key = nonce === '' ? `${salt}:${vin}` : `${salt}:${vin}:${nonce}`;
  // The product is below 2^49, so a double holds it exactly; dividing by a power of two is exact as well.
  return Math.floor((murmur3(key) * BUCKETS) / 0x1_0000_0000);
}
