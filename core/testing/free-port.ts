import { once } from 'node:events';
import { createServer } from 'node:net';
import { boundAddress } from '../wire/network/http-server.ts';

/** Gives a port of 127.0.0.1 that nothing listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = boundAddress(server);
  server.close();
  await once(server, 'close');
  return port;
}
