/**
 * Bytes that arrive in pieces. They stand in one buffer that grows to twice its size: a list of the pieces would cost a
 * client that sends one byte at a time a hundred bytes of ours for each.
 */
export class GatheredBytes {
  #bytes: Buffer;
  #length: number;

  /** @param first copied, because the buffer that it is a part of may be much larger */
  constructor(first: Buffer) {
    this.#bytes = Buffer.from(first);
    this.#length = first.length;
  }

  get length(): number {
    return this.#length;
  }

  append(more: Buffer): void {
    const length = this.#length + more.length;
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    more.copy(this.#bytes, this.#length);
    this.#length = length;
  }

  /** All of them. They are valid until the next `append`. */
  all(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}
