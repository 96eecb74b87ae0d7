import { createServer, type RequestListener, type Server } from 'node:http';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from '@jest/globals';
import { boundAddress } from '../../core/wire/network/http-server.ts';
import { SubgraphRequests } from './subgraph-requests.ts';

let server: Server;
let requests: SubgraphRequests;
let connections = 0;

async function serve(listener: RequestListener, timeoutMs = 10_000): Promise<void> {
  connections = 0;
  server = createServer(listener).listen(0, '127.0.0.1');
  server.on('connection', () => (connections += 1));
  await once(server, 'listening');
  requests = new SubgraphRequests(new URL(`http://127.0.0.1:${boundAddress(server).port}/`), timeoutMs);
}
afterEach(async () => {
  requests.close();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

describe('requests to a subgraph', () => {
  test('go over one connection after another, with their header fields and bodies', async () => {
    await serve((request, response) => {
      const { url, headers } = request;
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text));
      request.on('end', () => response.writeHead(418).end(JSON.stringify([url, headers['x-own'], body])));
    });
    for (const body of ['one', '“two”'])
      expect(await requests.post('/path', { 'x-own': 'yes' }, body)).toEqual({
        status: 418,
        body: Buffer.from(JSON.stringify(['/path', 'yes', body])),
        isDraining: false,
      });
    expect(connections).toBe(1);
  });

  test('reject where no answer comes, or only a part of one', async () => {
    await serve((_request, response) => {
      response.writeHead(200, { 'content-length': 10 });
      response.write('half');
    }, 50);
    await expect(requests.post('/', {}, '')).rejects.toThrow(/not answered in 50 ms|aborted/);
  });

  test('reject where the connection is lost in the middle of an answer', async () => {
    await serve((_request, response) => {
      response.writeHead(200, { 'content-length': 10 });
      response.write('half', () => response.destroy());
    });
    await expect(requests.post('/', {}, '')).rejects.toThrow('aborted');
  });
});
