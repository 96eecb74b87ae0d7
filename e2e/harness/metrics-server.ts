/**
 * A ClickHouse server as a process of its own, so that it can be killed: the embedded engine behind the part of
 * ClickHouse's HTTP interface that its client uses. Arguments: the engine's folder, and the port (0: a free one), which
 * it prints.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createChdbConnection } from 'chdb/connection';

/** The parameters of a request that are not settings of the engine. */
const NO_SETTINGS = new Set(['query', 'query_id', 'database', 'session_id', 'role']);

const [path = '', port = '0'] = process.argv.slice(2);
const engine = createChdbConnection({ path });

async function answer(url: URL, body: string): Promise<string> {
  const parameters = [...url.searchParams];
  const query = url.searchParams.get('query');
  const { stream } = await engine.exec({
    // For an insert, the statement is in the address and the rows are the body.
    ...(query === null ? { query: body } : { query, values: Readable.from([body]) }),
    query_params: Object.fromEntries(
      parameters.flatMap(([name, value]) => (name.startsWith('param_') ? [[name.slice(6), value]] : [])),
    ),
    clickhouse_settings: Object.fromEntries(
      parameters.filter(([name]) => !name.startsWith('param_') && !NO_SETTINGS.has(name)),
    ),
  });
  return text(stream);
}

const server = createServer((request, response) => {
  void (async () => {
    try {
      response.end(await answer(new URL(request.url ?? '/', 'http://localhost'), await text(request)));
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  })();
}).listen(Number(port), '127.0.0.1', () =>
  process.stdout.write(`ClickHouse listens on ${(server.address() as AddressInfo).port}\n`),
);
