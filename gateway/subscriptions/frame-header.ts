/** The head of a frame that a server sends (RFC 6455, section 5.2): not masked, so the same for every connection. */

/** FIN and opcode 1: a whole text message. */
const TEXT_FRAME = 0x81;

/** Gives the number of bytes of the head of a frame with `length` bytes of content. */
export function headerBytes(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10;
}

/**
 * Writes the head at `offset`, and gives the offset behind it.
 *
 * @param first FIN and opcode
 */
export function writeHeader(target: Buffer, offset: number, length: number, first = TEXT_FRAME): number {
  target[offset] = first;
  if (length < 126) {
    target[offset + 1] = length;
    return offset + 2;
  }
  if (length < 65_536) {
    target[offset + 1] = 126;
    return target.writeUInt16BE(length, offset + 2);
  }
  target[offset + 1] = 127;
  target.writeUInt16BE(0, offset + 2);
  return target.writeUIntBE(length, offset + 4, 6);
}
