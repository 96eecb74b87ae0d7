/** The opening handshake of a websocket, on the server's side (RFC 6455, section 4.2). */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** A client's request for a websocket. */
export interface Handshake {
  readonly key: string;
  /** The subprotocols that it speaks, in its order of preference. */
  readonly protocols: readonly string[];
}

/**
 * The refusal of a request that is no valid handshake: a status and, where the client's version is the fault, header
 * fields.
 */
export interface BadHandshake {
  readonly status: string;
  readonly reason: string;
  readonly fields?: string;
}

/** 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const VERSIONS: readonly unknown[] = ['13', '8'];
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 6455, section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Reads the handshake of an upgrade request, or says what is wrong with it. */
export function readHandshake({ method, headers }: IncomingMessage): Handshake | BadHandshake {
  const bad = (reason: string, fields?: string): BadHandshake => ({
    status: '400 Bad Request',
    reason,
    ...(fields !== undefined && { fields }),
  });
  if (method !== 'GET') return { status: '405 Method Not Allowed', reason: 'A handshake is a GET.' };
  if (headers.upgrade?.toLowerCase() !== 'websocket') return bad('The upgrade is not to websocket.');
  const key = headers['sec-websocket-key'];
  if (key === undefined || !KEY.test(key)) return bad('Sec-WebSocket-Key is missing or not 16 bytes in base64.');
  if (!VERSIONS.includes(headers['sec-websocket-version']))
    return bad('Sec-WebSocket-Version must be 13 or 8.', 'Sec-WebSocket-Version: 13, 8\r\n');
  const protocols = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? [];
  if (!protocols.every((name) => TOKEN.test(name)) || new Set(protocols).size < protocols.length)
    return bad('Sec-WebSocket-Protocol is no list of different names.');
  return { key, protocols };
}

/** The answer that makes the connection a websocket. */
export function acceptance(key: string, protocol: string | null): string {
  const accept = createHash('sha1')
    .update(key + GUID)
    .digest('base64');
  const chosen = protocol === null ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`;
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${chosen}\r\n`;
}
