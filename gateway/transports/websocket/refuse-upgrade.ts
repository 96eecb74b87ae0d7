import type { Duplex } from 'node:stream';

/**
 * Answers an upgrade with an HTTP status such as `404 Not Found`, perhaps with the reason as text, and ends the
 * connection, whatever becomes of the client.
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
