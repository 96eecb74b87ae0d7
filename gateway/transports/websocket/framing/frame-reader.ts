/**
 * Reads the frames that a client sends (RFC 6455, section 5) from the pieces in which their bytes arrive. Between two
 * messages it keeps no buffer.
 */
import { isUtf8 } from 'node:buffer';
import { GatheredBytes } from './gathered-bytes.ts';

/** Close codes of RFC 6455, section 7.4.1. */
const PROTOCOL_ERROR = 1002;
/** The code that stands for a close frame without one. */
export const NO_STATUS = 1005;
const INVALID_DATA = 1007;
const TOO_LARGE = 1009;

/** Receives the frames, in order. */
export interface FrameListener {
  /** Called with a whole message. The bytes are valid until this returns. */
  message(data: Buffer, isText: boolean): void;
  /** Called with the content of a ping. The bytes are valid until this returns. */
  ping(content: Buffer): void;
  pong(): void;
  /** @param code NO_STATUS where the client gives none */
  closeFrame(code: number, reason: string): void;
}

/** The error for bytes that are no frame, or a message that is too large. Nothing after them can be read. */
export class FrameFault extends Error {
  override readonly name = 'FrameFault';

  /** @param code the close code with which the connection is closed */
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

const MASK_BYTES = 4;
const MAX_CONTROL_BYTES = 125;

/** A frame's head, as far as it has arrived. */
interface Head {
  readonly opcode: number;
  readonly isLast: boolean;
  /** The number of bytes from the beginning of the frame to its content. */
  readonly headBytes: number;
  readonly contentBytes: number;
}

/** Reads one client's frames. */
export class FrameReader {
  /** The beginning of a frame that has not arrived whole. */
  #partial: GatheredBytes | null = null;
  /** The number of bytes that the partial frame needs before reading it again can succeed. */
  #needed = 0;
  /** The fragments of a message so far. */
  #message: GatheredBytes | null = null;
  #isText = false;

  /** @param maxMessageBytes the most bytes of one message, over all of its frames */
  constructor(private readonly maxMessageBytes: number) {}

  /**
   * Reads the bytes that have arrived, and passes on each frame that is complete. The bytes are changed.
   *
   * @throws FrameFault
   */
  read(arrived: Buffer, listener: FrameListener): void {
    let bytes = arrived;
    if (this.#partial !== null) {
      this.#partial.append(arrived);
      if (this.#partial.length < this.#needed) return;
      bytes = this.#partial.all();
      this.#partial = null;
    }
    let offset = 0;
    while (offset < bytes.length) {
      const head = this.#head(bytes, offset);
      const end = head === null ? Infinity : offset + head.headBytes + head.contentBytes;
      if (head === null || end > bytes.length) {
        this.#partial = new GatheredBytes(bytes.subarray(offset));
        // The next byte may complete the head.
        this.#needed = head === null ? 0 : end - offset;
        return;
      }
      const content = bytes.subarray(offset + head.headBytes, end);
      unmask(content, bytes, offset + head.headBytes - MASK_BYTES);
      this.#frame(head, content, listener);
      offset = end;
    }
  }

  /** Reads the head of the frame at `offset`; null where it is not whole. */
  #head(bytes: Buffer, offset: number): Head | null {
    const available = bytes.length - offset;
    if (available < 2) return null;
    const [first, second] = [bytes[offset] ?? 0, bytes[offset + 1] ?? 0];
    const opcode = first & 0x0f;
    const isLast = (first & 0x80) !== 0;
    const short = second & 0x7f;
    if ((first & 0x70) !== 0) throw new FrameFault(PROTOCOL_ERROR, 'reserved bits are set');
    if ((second & 0x80) === 0) throw new FrameFault(PROTOCOL_ERROR, 'a frame is not masked');
    this.#checkOrder(opcode, isLast, short);
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const headBytes = 2 + lengthBytes + MASK_BYTES;
    if (available < headBytes) return null;
    const contentBytes =
      lengthBytes === 0
        ? short
        : lengthBytes === 2
          ? bytes.readUInt16BE(offset + 2)
          : bytes.readUInt32BE(offset + 2) * 2 ** 32 + bytes.readUInt32BE(offset + 6);
    if (opcode < CLOSE && contentBytes + (this.#message?.length ?? 0) > this.maxMessageBytes)
      throw new FrameFault(TOO_LARGE, 'a message is too large');
    return { opcode, isLast, headBytes, contentBytes };
  }

  #checkOrder(opcode: number, isLast: boolean, short: number): void {
    switch (opcode) {
      case CONTINUATION:
        if (this.#message === null) throw new FrameFault(PROTOCOL_ERROR, 'nothing is continued');
        return;
      case TEXT:
      case BINARY:
        if (this.#message !== null) throw new FrameFault(PROTOCOL_ERROR, 'a message begins within another');
        return;
      case CLOSE:
      case PING:
      case PONG:
        if (!isLast || short > MAX_CONTROL_BYTES)
          throw new FrameFault(PROTOCOL_ERROR, 'a control frame is too long or in fragments');
        return;
      default:
        throw new FrameFault(PROTOCOL_ERROR, 'an opcode is not known');
    }
  }

  #frame({ opcode, isLast }: Head, content: Buffer, listener: FrameListener): void {
    switch (opcode) {
      case CLOSE:
        return readClose(content, listener);
      case PING:
        return listener.ping(content);
      case PONG:
        return listener.pong();
      case TEXT:
      case BINARY:
        this.#isText = opcode === TEXT;
        if (isLast) return this.#whole(content, listener);
        this.#message = new GatheredBytes(content);
        return;
      default:
        this.#message?.append(content);
        if (isLast && this.#message !== null) {
          const message = this.#message.all();
          this.#message = null;
          this.#whole(message, listener);
        }
    }
  }

  #whole(message: Buffer, listener: FrameListener): void {
    if (this.#isText && !isUtf8(message)) throw new FrameFault(INVALID_DATA, 'a text message is not UTF-8');
    listener.message(message, this.#isText);
  }
}

/** Unmasks the content in place (RFC 6455, section 5.3). */
function unmask(content: Buffer, bytes: Buffer, maskAt: number): void {
  for (let index = 0; index < content.length; index++)
    content[index] = (content[index] ?? 0) ^ (bytes[maskAt + (index & 3)] ?? 0);
}

/** Checks whether a client may close with this code (RFC 6455, section 7.4.2, and IANA's registry). */
function mayClose(code: number): boolean {
  if (code >= 3_000) return code <= 4_999;
  return code >= 1_000 && code <= 1_014 && code !== 1_004 && code !== NO_STATUS && code !== 1_006;
}

function readClose(content: Buffer, listener: FrameListener): void {
  if (content.length === 0) return listener.closeFrame(NO_STATUS, '');
  const code = content.length === 1 ? 0 : content.readUInt16BE(0);
  if (!mayClose(code)) throw new FrameFault(PROTOCOL_ERROR, 'a close code is not valid');
  const reason = content.subarray(2);
  if (!isUtf8(reason)) throw new FrameFault(INVALID_DATA, 'a reason to close is not UTF-8');
  listener.closeFrame(code, reason.toString());
}
