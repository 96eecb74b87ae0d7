import type { Duplex } from 'node:stream';

/**
 * Answers an upgrade with an HTTP status such as `404 Not Found`, perhaps with the reason as text, and ends the
 * connection, whatever becomes of the client.
 */
export function refuseUpgrade(socket: Duplex, status: string, reason = ''): void {
  socket.on('error', () => socket.destroy());
  const type = reason === '' ? '' : 'Content-Type: text/plain; charset=utf-8\r\n';
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\n${type}Content-Length: ${Buffer.byteLength(reason)}\r\n\r\n${reason}`,
    () => socket.destroy(),
  );
}
