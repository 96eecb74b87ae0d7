import type { Duplex } from 'node:stream';

/** Answers an upgrade with an HTTP status such as `404 Not Found` and ends the connection, whatever becomes of the client. */
export function refuseUpgrade(socket: Duplex, status: string): void {
  socket.on('error', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
}
