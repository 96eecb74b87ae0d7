/**
 * The least that fastify does: `bare-fastify.ts BYTES` answers `/graphql` with BYTES bytes, or 304 to If-None-Match.
 */
import fastify from 'fastify';
import { boundAddress } from '../../core/wire/network/http-server.ts';

const body = JSON.stringify({ data: 'x'.repeat(Number(process.argv[2])) });
const etag = '"benchmark"';
const app = fastify();
app.get('/graphql', (request, reply) => {
  void reply.header('etag', etag);
  if (request.headers['if-none-match'] === etag) return reply.status(304).send();
  return reply.header('content-type', 'application/json').send(body);
});
await app.listen({ port: 0, host: '127.0.0.1' });
console.log(`LISTENING ${boundAddress(app.server).port}`);
