/**
 * Builds the WebSocket frames of `next` messages once for all clients of a distinct operation. Only the operation's id
 * differs from client to client, and it is patched into the finished bytes.
 *
 * A server's frame (RFC 6455, section 5.2) is not masked, so its bytes do not depend on the connection either.
 */
import { headerBytes, writeHeader } from './frame-header.ts';

const BEFORE_ID = Buffer.from('{"id":"');
const AFTER_ID = Buffer.from('","type":"next","payload":');
const END = Buffer.from('}');
const COMPLETE = Buffer.from('","type":"complete"}');

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
  const known = knownIds.get(id);
  if (known !== undefined) return known;
  const text = JSON.stringify(id).slice(1, -1);
  const encoded = { text, bytes: Buffer.byteLength(text) };
  if (id.length <= KNOWN_ID_LENGTH) {
    if (knownIds.size >= MAX_KNOWN_IDS) knownIds.clear();
    knownIds.set(id, encoded);
  }
  return encoded;
}

/** Ids that were encoded: those of a fleet are few, and the same in all vehicles. */
const knownIds = new Map<string, EncodedId>();
const MAX_KNOWN_IDS = 500;
const KNOWN_ID_LENGTH = 16;

interface PatchedFrames {
  bytes: Buffer;
  readonly idOffsets: readonly number[];
  /** The id that the bytes carry now. */
  id: string | null;
  /** Whether a socket still reads from `bytes`, so that they must not change. */
  kept: boolean;
}

/** A message that is built around an id. */
interface Part {
  readonly payload: Buffer | null;
}

const partBytes = ({ payload }: Part, idBytes: number) =>
  BEFORE_ID.length + idBytes + (payload === null ? COMPLETE.length : AFTER_ID.length + payload.length + END.length);

function buildFrames(parts: readonly Part[], idBytes: number): PatchedFrames {
  const lengths = parts.map((part) => partBytes(part, idBytes));
  const bytes = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + headerBytes(length) + length, 0));
  const idOffsets: number[] = [];
  let offset = 0;
  parts.forEach(({ payload }, index) => {
    offset = writeHeader(bytes, offset, lengths[index] ?? 0);
    offset += BEFORE_ID.copy(bytes, offset);
    idOffsets.push(offset);
    offset += idBytes;
    if (payload === null) offset += COMPLETE.copy(bytes, offset);
    else for (const piece of [AFTER_ID, payload, END]) offset += piece.copy(bytes, offset);
  });
  return { bytes, idOffsets, id: null, kept: false };
}

/** One or more results of a distinct operation, as frames that are sent in one write. */
export class FrameBatch {
  private readonly byIdLength = new Map<number, PatchedFrames>();
  private last: PatchedFrames | undefined;
  private lastLength = -1;

  readonly #parts: readonly Part[];

  /**
   * @param payloads at least one result, as JSON in UTF-8, in the order in which clients get them
   * @param isComplete whether a `complete` message follows the results
   */
  constructor(
    private readonly payloads: readonly Buffer[],
    isComplete = false,
  ) {
    this.#parts = [...payloads, ...(isComplete ? [null] : [])].map((payload) => ({ payload }));
  }

  get count(): number {
    return this.payloads.length;
  }

  /** The number of copies of its bytes: one for each length of id. */
  get copies(): number {
    return this.byIdLength.size;
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
        frames = buildFrames(this.#parts, id.bytes);
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

/** The frames of results that many clients get, such as the vehicles of a fleet that reconnects. */
const sharedResults = new WeakMap<Buffer, FrameBatch>();
/**
 * The number of copies of a result beyond which its frames are built again. The ids of a fleet have one or two lengths;
 * a client that tries many lengths must not make a kept answer take hundreds of times its bytes.
 */
const MAX_COPIES = 3;

/** Gives the frames of the one result of an operation, the same for all clients that get this buffer. */
export function sharedFrames(result: Buffer): FrameBatch {
  let batch = sharedResults.get(result);
  if (batch === undefined || batch.copies >= MAX_COPIES)
    sharedResults.set(result, (batch = new FrameBatch([result], true)));
  return batch;
}
