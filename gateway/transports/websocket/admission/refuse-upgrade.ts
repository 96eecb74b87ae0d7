import type { Duplex } from 'node:stream';
import { closeFrame } from '../framing/server-frames.ts';

/**
 * Answers an upgrade with an HTTP status such as `404 Not Found`, perhaps with the reason as text, and ends the
 * connection, even where the client does not read the answer.
 *
 * @param fields further header fields, each with its line end
 */
export function refuseUpgrade(socket: Duplex, status: string, reason = '', fields = ''): void {
  socket.on('error', () => socket.destroy());
  const type = reason === '' ? '' : 'Content-Type: text/plain; charset=utf-8\r\n';
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\n${fields}${type}Content-Length: ${Buffer.byteLength(reason)}\r\n\r\n${reason}`,
    () => socket.destroy(),
  );
}

/**
 * Accepts an upgrade, closes the websocket with a code and ends the connection: for clients that come back after a
 * close code and not after a refused upgrade.
 */
export function closeAtOnce(socket: Duplex, accepted: string, code: number, reason: string): void {
  socket.on('error', () => socket.destroy());
  socket.end(Buffer.concat([Buffer.from(accepted), closeFrame(code, reason)]), () => socket.destroy());
}
