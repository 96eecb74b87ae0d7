/**
 * Bucketing: `bucket = (murmur3_32(utf8("<salt>:<vin>"), seed 0) × 100000) >> 32` (64-bit product).
 * Source: design.md, "Evaluation".
 *
 * The hash is written out so that an evaluation allocates nothing: a package that hashes bytes needs the text encoded
 * into an array first. Packages that hash UTF-16 code units instead would also disagree with other languages on a salt
 * that is not ASCII. A salt is hashed once, and its state kept: each evaluation goes on from there.
 */

/** The number of buckets, from 0 to 99,999: each is a thousandth of a percent. */
export const BUCKETS = 100_000;

const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;
const REPLACEMENT_CHARACTER = 0xfffd;

/** The state of MurmurHash3_x86_32 after some bytes. */
interface HashState {
  hash: number;
  /** The bytes that do not fill a block of four yet, first byte lowest. */
  block: number;
  filledBits: number;
  /** The number of bytes that were hashed. */
  length: number;
}

function mixBlock(block: number): number {
  const scrambled = Math.imul(block, C1);
  return Math.imul((scrambled << 15) | (scrambled >>> 17), C2);
}

function mixIn(hash: number, block: number): number {
  const mixed = hash ^ mixBlock(block);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

/**
 * Gives the code point at `index`. A surrogate without its partner becomes U+FFFD, as it does wherever UTF-16 is
 * encoded as UTF-8 (WHATWG Encoding).
 */
function scalarAt(text: string, index: number): number {
  const point = text.codePointAt(index)!;
  return point >= 0xd800 && point <= 0xdfff ? REPLACEMENT_CHARACTER : point;
}

/** Hashes the UTF-8 bytes of a character into `state`. */
function absorbCharacter(state: HashState, point: number): void {
  // The character's bytes, first byte lowest.
  let bytes = point;
  let count = 1;
  if (point >= 0x10000) {
    bytes =
      0x808080f0 |
      (point >> 18) |
      (((point >> 12) & 0x3f) << 8) |
      (((point >> 6) & 0x3f) << 16) |
      ((point & 0x3f) << 24);
    count = 4;
  } else if (point >= 0x800) {
    bytes = 0x8080e0 | (point >> 12) | (((point >> 6) & 0x3f) << 8) | ((point & 0x3f) << 16);
    count = 3;
  } else if (point >= 0x80) {
    bytes = 0x80c0 | (point >> 6) | ((point & 0x3f) << 8);
    count = 2;
  }
  state.length += count;
  for (; count > 0; count--) {
    state.block |= (bytes & 0xff) << state.filledBits;
    bytes >>>= 8;
    state.filledBits += 8;
    if (state.filledBits === 32) {
      state.hash = mixIn(state.hash, state.block);
      state.block = 0;
      state.filledBits = 0;
    }
  }
}

/** Hashes the UTF-8 bytes of `text` into `state`: four at a time as long as they are ASCII, as those of a VIN are. */
function absorb(state: HashState, text: string): void {
  let { hash, block } = state;
  const { filledBits } = state;
  // Shifting by 32 would shift by nothing, so the bits are moved in two steps.
  const restBits = 31 - filledBits;
  let index = 0;
  for (; index + 4 <= text.length; index += 4) {
    const first = text.charCodeAt(index);
    const second = text.charCodeAt(index + 1);
    const third = text.charCodeAt(index + 2);
    const fourth = text.charCodeAt(index + 3);
    if ((first | second | third | fourth) >= 0x80) break;
    const four = first | (second << 8) | (third << 16) | (fourth << 24);
    hash = mixIn(hash, block | (four << filledBits));
    block = (four >>> 1) >>> restBits;
  }
  state.hash = hash;
  state.block = block;
  state.length += index;
  while (index < text.length) {
    const point = scalarAt(text, index);
    absorbCharacter(state, point);
    index += point >= 0x10000 ? 2 : 1;
  }
}

/** Gives the hash of all bytes that were hashed into `state`, as an unsigned 32-bit integer. */
function finish({ hash, block, length }: HashState): number {
  // A tail of no bytes mixes to 0, which changes nothing.
  let mixed = hash ^ mixBlock(block) ^ length;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

const empty = (): HashState => ({ hash: 0, block: 0, filledBits: 0, length: 0 });

/**
 * Hashes the UTF-8 bytes of `text` with MurmurHash3_x86_32, seed 0, without allocating the bytes. Source:
 * https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp
 *
 * @returns an unsigned 32-bit integer
 */
export function murmur3(text: string): number {
  const state = empty();
  absorb(state, text);
  return finish(state);
}

/**
 * Makes the function that gives the bucket of a vehicle under a salt. The buckets are the same in every language, and
 * never change.
 *
 * @param salt the flag's key, or the salt that its conditions name
 * @returns a function of the VIN as the context has it (its case matters) and of the string that an agent draws at each
 *   start for `sticky: false`. With it the hashed key is `<salt>:<vin>:<nonce>`; absent or empty, it gives the sticky
 *   bucket. The function gives 0 … 99999
 */
export function bucketing(salt: string): (vin: string, nonce?: string) => number {
  const salted = empty();
  absorb(salted, `${salt}:`);
  const { hash, block, filledBits, length } = salted;
  // One state for all calls: none of them begins before another has ended.
  const state = empty();
  return (vin, nonce = '') => {
    state.hash = hash;
    state.block = block;
    state.filledBits = filledBits;
    state.length = length;
    absorb(state, nonce === '' ? vin : `${vin}:${nonce}`);
    // The product is below 2^49, so a double holds it exactly; dividing by a power of two is exact as well.
    return Math.floor((finish(state) * BUCKETS) / 0x1_0000_0000);
  };
}
