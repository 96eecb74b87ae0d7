/** Builds the frames that the server sends: texts, pings, pongs and closes (RFC 6455, sections 5.2 and 5.5). */
import { headerBytes, writeHeader } from '../../../subscriptions/frame-header.ts';
import { NO_STATUS } from './frame-reader.ts';

/** The first byte of each kind of frame: FIN and the opcode. */
const CLOSE_FRAME = 0x88;
const PING_FRAME = 0x89;
const PONG_FRAME = 0x8a;

/** The most bytes of a close frame's reason; its content has at most 125 bytes, of which the code takes two. */
const MAX_REASON_BYTES = 123;

/** A ping without content: the same bytes for every client. */
export const EMPTY_PING = Buffer.from([PING_FRAME, 0]);

/** Builds the frames of some texts, in one buffer. */
export function textFrames(...texts: readonly string[]): Buffer {
  const lengths = texts.map((text) => Buffer.byteLength(text));
  const bytes = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + headerBytes(length) + length, 0));
  let offset = 0;
  texts.forEach((text, index) => {
    offset = writeHeader(bytes, offset, lengths[index] ?? 0);
    offset += bytes.write(text, offset);
  });
  return bytes;
}

/** Builds the answer to a ping with this content. */
export function pongFrame(content: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(2 + content.length);
  content.copy(bytes, writeHeader(bytes, 0, content.length, PONG_FRAME));
  return bytes;
}

/**
 * Builds a close frame.
 *
 * @param reason is cut after 123 bytes, but never within a character
 */
export function closeFrame(code: number, reason: string): Buffer {
  if (code === NO_STATUS) return Buffer.from([CLOSE_FRAME, 0]);
  const text = Buffer.alloc(MAX_REASON_BYTES);
  // `write` never writes a part of a character.
  const length = text.write(reason);
  const bytes = Buffer.allocUnsafe(4 + length);
  bytes.writeUInt16BE(code, writeHeader(bytes, 0, 2 + length, CLOSE_FRAME));
  text.copy(bytes, 4, 0, length);
  return bytes;
}
