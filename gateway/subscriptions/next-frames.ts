/**
 * Builds the WebSocket frames of `next` messages once for all clients of a distinct operation. Only the operation's id
 * differs from client to client, and it is patched into the finished bytes.
 *
 * A server's frame (RFC 6455, section 5.2) is not masked, so its bytes do not depend on the connection either.
 */

/** FIN and opcode 1: a whole text message. */
const TEXT_FRAME = 0x81;
const BEFORE_ID = Buffer.from('{"id":"');
const AFTER_ID = Buffer.from('","type":"next","payload":');
const END = Buffer.from('}');

/** A client's operation id as it is written between the quotes of a JSON string. */
export interface EncodedId {
  readonly text: string;
  /** The bytes of `text` in UTF-8. */
  readonly bytes: number;
}

/**
 * Encodes an operation id.
 *
 * @param id any string, even one with quotes, control characters or lone surrogates
 */
export function encodeId(id: string): EncodedId {
  const text = JSON.stringify(id).slice(1, -1);
  return { text, bytes: Buffer.byteLength(text) };
}

interface PatchedFrames {
  bytes: Buffer;
  readonly idOffsets: readonly number[];
  /** The id that the bytes carry now. */
  id: string | null;
  /** Whether a socket still reads from `bytes`, so that they must not change. */
  kept: boolean;
}

function headerBytes(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10;
}

function writeHeader(target: Buffer, offset: number, length: number): number {
  target[offset] = TEXT_FRAME;
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

function buildFrames(payloads: readonly Buffer[], idBytes: number): PatchedFrames {
  const overhead = BEFORE_ID.length + idBytes + AFTER_ID.length + END.length;
  const total = payloads.reduce(
    (sum, payload) => sum + headerBytes(overhead + payload.length) + overhead + payload.length,
    0,
  );
  const bytes = Buffer.allocUnsafe(total);
  const idOffsets: number[] = [];
  let offset = 0;
  for (const payload of payloads) {
    offset = writeHeader(bytes, offset, overhead + payload.length);
    offset += BEFORE_ID.copy(bytes, offset);
    idOffsets.push(offset);
    offset += idBytes;
    offset += AFTER_ID.copy(bytes, offset);
    offset += payload.copy(bytes, offset);
    offset += END.copy(bytes, offset);
  }
  return { bytes, idOffsets, id: null, kept: false };
}

/** One or more results of a distinct operation, as frames that are sent in one write. */
export class FrameBatch {
  private readonly byIdLength = new Map<number, PatchedFrames>();
  private last: PatchedFrames | undefined;
  private lastLength = -1;

  /** @param payloads at least one result, as JSON in UTF-8, in the order in which clients get them */
  constructor(private readonly payloads: readonly Buffer[]) {}

  get count(): number {
    return this.payloads.length;
  }

  /**
   * Gives the frames for the operation `id`. The bytes are valid until the next call for another id; a caller that
   * needs them for longer has to call `keep`.
   */
  framesFor(id: EncodedId): Buffer {
    let frames = this.last;
    if (frames === undefined || this.lastLength !== id.bytes) {
      frames = this.byIdLength.get(id.bytes);
      if (frames === undefined) {
        frames = buildFrames(this.payloads, id.bytes);
        this.byIdLength.set(id.bytes, frames);
      }
      this.last = frames;
      this.lastLength = id.bytes;
    }
    if (frames.id !== id.text) {
      if (frames.kept) {
        frames.bytes = Buffer.from(frames.bytes);
        frames.kept = false;
      }
      for (const offset of frames.idOffsets) frames.bytes.write(id.text, offset, id.bytes, 'utf8');
      frames.id = id.text;
    }
    return frames.bytes;
  }

  /** Keeps the bytes that `framesFor` gave last unchanged, so that the next id gets a copy. */
  keep(): void {
    if (this.last !== undefined) this.last.kept = true;
  }
}
