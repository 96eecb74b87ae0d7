/**
 * A stand-in for a ClickHouse server, of which npm and Debian have none that is new enough: the embedded engine behind
 * as much of ClickHouse's HTTP interface as FleetFlag uses. It has no accounts, cluster, replication, compression or
 * sessions: it takes any credentials, and refuses the rest. Source: ClickHouse's manual, "HTTP Interface".
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createChdbConnection } from 'chdb/connection';
import { boundAddress } from '../../../core/wire/network/http-server.ts';
import { openMetricsStore } from '../stores/metrics-store.ts';

/** A running stand-in. */
export interface ClickHouseServer {
  readonly port: number;
  /** Stops listening, lets the requests under way end, and releases the engine's folder. */
  close(): Promise<void>;
}

type Engine = ReturnType<typeof createChdbConnection>;

/** The parameters of a request that are not settings of the engine. */
const NO_SETTINGS = new Set(['query', 'query_id', 'database']);

/**
 * Serves the engine's folder on loopback.
 *
 * @param port 0 for a free one
 * @throws FleetFlagError SERVICE_UNAVAILABLE when the engine cannot open its folder; errors of listening
 */
export async function serveClickHouse(path: string, port = 0): Promise<ClickHouseServer> {
  // It keeps the engine open between the requests, and lets the engine write backups beside the folder.
  const store = await openMetricsStore({ url: null, path });
  const server = createServer((request, response) => {
    respond(request, response, path).catch((error: unknown) => refuse(response, error));
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: boundAddress(server).port,
    async close() {
      const closed = once(server, 'close');
      server.close();
      await closed;
      await store.close();
    },
  };
}

async function respond(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  if (url.pathname === '/ping') return void response.end('Ok.\n');
  if (url.pathname !== '/') return void response.writeHead(404).end(`There is no handle ${url.pathname}\n`);
  if (request.headers['content-encoding'] !== undefined) throw new Error('The stand-in takes no compressed requests.');
  // Settings and the database are the connection's, and those of a request end with it.
  const engine = createChdbConnection({ path });
  try {
    const { answer, summary } = await run(engine, url.searchParams, await text(request));
    response.setHeader('X-ClickHouse-Query-Id', url.searchParams.get('query_id') ?? '');
    response.setHeader('X-ClickHouse-Summary', JSON.stringify(summary ?? {}));
    response.end(answer);
  } finally {
    await engine.close();
  }
}

/** Runs the statement of a request. For an insert it is in the address, and the rows are the body. */
async function run(engine: Engine, parameters: URLSearchParams, body: string) {
  const database = parameters.get('database');
  if (database !== null) await engine.command({ query: `USE \`${database.replace(/[\\`]/g, '\\$&')}\`` });
  const inAddress = parameters.get('query');
  const query = inAddress ?? body;
  const request = {
    query,
    query_params: Object.fromEntries(
      [...parameters].flatMap(([name, value]) =>
        name.startsWith('param_') ? [[name.slice(6), readParameter(query, name.slice(6), value)]] : [],
      ),
    ),
    clickhouse_settings: Object.fromEntries(
      [...parameters].filter(([name]) => !name.startsWith('param_') && !NO_SETTINGS.has(name)),
    ),
  };
  if (inAddress !== null && body !== '') {
    const { summary } = await engine.insert({ ...request, values: Readable.from([body]) });
    return { answer: '', summary };
  }
  const { stream, summary } = await engine.exec(request);
  return { answer: await text(stream), summary };
}

/** The control characters that the client escapes in a parameter, by the letter after the backslash. */
const ESCAPED: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r' };

/**
 * Reads a query parameter in the form of the HTTP interface, which the engine's binding escapes again. In lists a quote
 * stays doubled, because the engine reads their elements as literals.
 */
function readParameter(query: string, name: string, value: string): string | null {
  const isList = new RegExp(`\\{\\s*${name}\\s*:\\s*(Array|Map|Tuple)\\b`).test(query);
  if (value === '\\N') return null;
  return value.replace(/\\(.)/gs, (_, escaped: string) =>
    escaped === "'" && isList ? "''" : (ESCAPED[escaped] ?? escaped),
  );
}

/** Answers with the engine's error as a server does: its code in a header, its text in the body. */
function refuse(response: ServerResponse, error: unknown): void {
  // The engine's connection keeps the whole text in the cause.
  const { cause } = error instanceof Error ? error : { cause: undefined };
  const message = cause instanceof Error ? cause.message : String(error);
  const [, code, type = ''] = /^Code: (\d+)\..*\(([A-Z_]+)\)\s*$/s.exec(message) ?? [];
  if (code !== undefined) response.setHeader('X-ClickHouse-Exception-Code', code);
  response.writeHead(type.startsWith('UNKNOWN_') ? 404 : /^(SYNTAX_ERROR|CANNOT_PARSE_)/.test(type) ? 400 : 500);
  response.end(`${message}\n`);
}
