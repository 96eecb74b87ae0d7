/**
 * Writes to a TCP connection without its stream. For each write a stream of Node allocates a request, keeps a state,
 * and visits the connection once more in the next tick, though the kernel nearly always takes all bytes at once. For
 * one change to a fleet that costs half as much as the kernel's work (docs/decisions/streams/own-framing.md).
 *
 * The handle below a socket is no public interface. It is used where it was tried, and nowhere else: `tcpHandleOf`
 * gives null for other versions of Node, and for connections that are not plain TCP.
 */
import type { Duplex } from 'node:stream';

/** The major versions of Node whose handles were tried. */
const TRIED_VERSIONS: readonly string[] = ['20'];

/** Node's own end of a TCP connection: `socket._handle`. */
export interface TcpHandle {
  /**
   * Hands bytes to the kernel, and those that it does not take to libuv, which writes them later, in order. The request
   * is used in that case only.
   *
   * @returns 0, or what is wrong
   */
  writeBuffer(request: object, bytes: Buffer): number;
  /** The bytes that libuv has still to write. */
  readonly writeQueueSize: number;
}

/** The object that libuv needs for bytes that are written later, of a class of Node's own. */
interface WriteRequest {
  /** Gives -1 while the request is in no use, and may be used. */
  getAsyncId(): number;
  /** Called when the bytes were written, or cannot be: then `status` is less than 0. */
  oncomplete?: (status: number) => void;
  /** Keeps the bytes in memory. */
  buffer?: Buffer;
}

/** Node offers the class to nobody, but makes one for each write of a stream. */
let RequestClass: (new () => WriteRequest) | null = null;
/** The request that serves all writes until one of them needs it for longer. */
let unused: WriteRequest | null = null;

function isTcpHandle(value: unknown): value is TcpHandle {
  return (
    typeof value === 'object' &&
    value !== null &&
    value.constructor.name === 'TCP' &&
    'writeBuffer' in value &&
    typeof value.writeBuffer === 'function' &&
    'writeQueueSize' in value &&
    typeof value.writeQueueSize === 'number'
  );
}

function isRequestClass(value: unknown): value is new () => WriteRequest {
  if (typeof value !== 'function' || value.name !== 'WriteWrap') return false;
  const prototype: unknown = value.prototype;
  return typeof prototype === 'object' && prototype !== null && 'getAsyncId' in prototype;
}

/** Learns the class of requests from the next write of the connection's stream. */
function learnFrom(handle: TcpHandle): void {
  handle.writeBuffer = (request, bytes) => {
    Reflect.deleteProperty(handle, 'writeBuffer');
    if (isRequestClass(request.constructor)) RequestClass = request.constructor;
    return handle.writeBuffer(request, bytes);
  };
}

/**
 * Gives the handle of a connection, or null where only its stream may be written to.
 *
 * @param version Node's
 */
export function tcpHandleOf(connection: Duplex, version = process.versions.node): TcpHandle | null {
  if (!TRIED_VERSIONS.includes(version.split('.', 1)[0] ?? '')) return null;
  const handle: unknown = Reflect.get(connection, '_handle');
  if (!isTcpHandle(handle)) return null;
  if (RequestClass === null) learnFrom(handle);
  return handle;
}

/** Bytes that the kernel did not take at once. */
export interface Unwritten {
  readonly bytes: number;
  /** Called when they were written; `isLost` where they cannot be. */
  written: (isLost: boolean) => void;
}

/**
 * Writes to a connection that has nothing to write. Gives null when the kernel has taken all of it: the bytes may
 * change from then on. Otherwise they must not change, and nothing may be written this way, until `written` is called.
 *
 * @returns 'later' where only the stream can write yet, and 'lost' where the connection is over
 */
export function writeAtOnce(handle: TcpHandle, bytes: Buffer): null | Unwritten | 'later' | 'lost' {
  if (RequestClass === null) return 'later';
  const request = (unused ??= new RequestClass());
  if (handle.writeBuffer(request, bytes) !== 0) return 'lost';
  if (request.getAsyncId() === -1) return null;
  // Node ends the process where a request is used twice. This one is in use until the next turn of the loop even where
  // nothing is left: libuv tries once more, and a client that reads meanwhile makes room for all of it.
  unused = null;
  const left = handle.writeQueueSize;
  if (left === 0) return null;
  const unwritten: Unwritten = { bytes: left, written: () => undefined };
  request.buffer = bytes;
  request.oncomplete = (status) => unwritten.written(status < 0);
  return unwritten;
}
