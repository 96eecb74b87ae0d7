/**
 * Measures reads of a partner at the real gateway, by API key and registered operation, over 50 connections: what has
 * been answered before, what the client has already (304), and what has to be computed. Beside it stand a stock Apollo
 * gateway over an HTTP subgraph that answers the same from memory, and a bare fastify route. All are measured in turn,
 * several times, so that a busy moment of the machine does not fall on one of them alone; read the ratios.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { BenchmarkControlPlane, type Form } from './harness/control-plane.ts';
import { fillFlags } from './harness/flags.ts';
import {
  BITS,
  HttpLoad,
  VARYING,
  getRequest,
  type LoadRequest,
  type LoadResult,
  type Varying,
} from './harness/http-load.ts';
import { median, printTable, short } from './harness/numbers.ts';
import type { BenchmarkOptions } from './harness/options.ts';
import { Peer } from './harness/peer.ts';
import { cpuSecondsOf } from './harness/process-usage.ts';

const CONNECTIONS = 50;
const FLAGS = 30;
/** Vehicles whose evaluations are asked for again and again. */
const VEHICLES = 100;
/** One key may ask 16,667 times a second; several are no limit for any gateway measured. */
const KEYS = 4;

const FLAG_FIELDS =
  'id key name description type defaultValue enabled killed safetyLevel environment revision createdAt rules { id type priority enabled conditions value variant }';
const bits = Array.from({ length: BITS }, (_, bit) => `b${bit}`);
const OPERATIONS = {
  evaluate:
    'query Evaluate($key: String!, $context: EvaluationContext!) { evaluateFlag(key: $key, context: $context) { flagKey value variant reason ruleId revision } }',
  list: `query List { flags(first: ${FLAGS}) { nodes { ${FLAG_FIELDS} } totalCount pageInfo { hasNextPage } } }`,
  // Its variables make each request another one, while the answer stays nearly the same.
  varied: `query Varied(${bits.map((bit) => `$${bit}: Boolean!`).join(' ')}) { flags(first: ${FLAGS}) { nodes { ${FLAG_FIELDS} } totalCount pageInfo { hasNextPage } ${bits.map((bit) => `${bit}: __typename @include(if: $${bit})`).join(' ')} } }`,
} as const;
type OperationName = keyof typeof OPERATIONS;

interface Scenario {
  readonly what: string;
  readonly operation: OperationName;
  readonly varying: Varying;
  /** Whether the client sends the tag of the answer that it has. */
  readonly unchanged?: true;
  readonly peers: readonly ('stock' | 'bare')[];
  readonly goal: { readonly times: number; readonly of: 'stock' | 'bare' };
}

const SAME_VEHICLES: Varying = { kind: 'vin', distinct: VEHICLES };
const SCENARIOS: readonly Scenario[] = [
  {
    what: 'evaluateFlag, answered before',
    operation: 'evaluate',
    varying: SAME_VEHICLES,
    peers: ['stock', 'bare'],
    goal: { times: 8, of: 'stock' },
  },
  {
    what: 'evaluateFlag, computed',
    operation: 'evaluate',
    varying: { kind: 'vin', distinct: null },
    peers: ['stock'],
    goal: { times: 2, of: 'stock' },
  },
  {
    what: 'evaluateFlag, 304',
    operation: 'evaluate',
    varying: { kind: 'none' },
    unchanged: true,
    peers: ['bare'],
    goal: { times: 0.5, of: 'bare' },
  },
  {
    what: `list of ${FLAGS} flags, answered before`,
    operation: 'list',
    varying: { kind: 'none' },
    peers: ['stock'],
    goal: { times: 8, of: 'stock' },
  },
  {
    what: `list of ${FLAGS} flags, computed`,
    operation: 'varied',
    varying: { kind: 'bits' },
    peers: ['stock'],
    goal: { times: 2, of: 'stock' },
  },
  {
    what: `list of ${FLAGS} flags, 304`,
    operation: 'list',
    varying: { kind: 'none' },
    unchanged: true,
    peers: ['bare'],
    goal: { times: 0.5, of: 'bare' },
  },
];

/** The variables of an operation as JSON, percent-encoded, with the mark of what varies. */
function variablesOf(operation: OperationName, varying: Varying): string {
  if (operation === 'varied') return `%7B${VARYING}%7D`;
  if (operation === 'list') return encodeURIComponent('{}');
  const vin = varying.kind === 'vin' ? VARYING : 'KMHFF000000000001';
  return encodeURIComponent(
    JSON.stringify({ key: 'feature_1', context: { vin, model: 'Ioniq 6', swVersion: '2.6.1' } }),
  );
}

interface Server {
  readonly name: string;
  readonly kind: Form | 'stock' | 'bare';
  readonly port: number;
  /** The processes whose CPU counts. */
  readonly pids: readonly number[];
  /** The requests of a scenario. */
  readonly requests: (scenario: Scenario) => Promise<readonly LoadRequest[]>;
}

/** Asks once, and gives the tag of the answer. */
async function tagOf(url: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const response = await fetch(url, { headers });
  const text = await response.text();
  const etag = response.headers.get('etag');
  if (!response.ok || etag === null) throw new Error(`No answer with a tag: ${response.status} ${text}`);
  return etag;
}

async function serverOf(plane: BenchmarkControlPlane): Promise<Server> {
  await plane.register(OPERATIONS_BY_ID);
  const keys = await Promise.all(Array.from({ length: KEYS }, () => plane.newKey()));
  return {
    name: `FleetFlag, ${plane.form}`,
    kind: plane.form,
    port: Number(new URL(plane.url).port),
    pids: plane.pids,
    requests: ({ operation, varying, unchanged }) =>
      Promise.all(
        keys.map(async (key) => {
          const path = `/graphql?id=${operation}&variables=${variablesOf(operation, varying)}`;
          const headers = { 'x-api-key': key, accept: 'application/json', 'apollo-require-preflight': 'true' };
          return getRequest(
            path,
            unchanged ? { ...headers, 'if-none-match': await tagOf(plane.url + path, headers) } : headers,
            varying,
          );
        }),
      ),
  };
}

const OPERATIONS_BY_ID: Readonly<Record<string, string>> = OPERATIONS;

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

function stockOf(gateway: Peer, subgraph: Peer): Server {
  return {
    name: 'stock Apollo gateway, HTTP subgraph from memory',
    kind: 'stock',
    port: gateway.port,
    pids: [gateway.pid, subgraph.pid],
    async requests({ operation, varying }) {
      const query = OPERATIONS[operation];
      const extensions = JSON.stringify({ persistedQuery: { version: 1, sha256Hash: sha256(query) } });
      // The first request brings the text, which the gateway then knows by its hash.
      const variables = decodeURIComponent(variablesOf(operation, varying)).replace(
        VARYING,
        operation === 'varied' ? bits.map((bit) => `"${bit}":true`).join(',') : 'KMHFF000000000001',
      );
      // Its data source keeps connections that the subgraph has closed meanwhile, and fails on the first use of each.
      await fetch(gateway.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"query":"{ flags { totalCount } }"}',
      });
      const response = await fetch(gateway.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: `{"query":${JSON.stringify(query)},"extensions":${extensions},"variables":${variables}}`,
      });
      const answer = (await response.json()) as { errors?: unknown };
      if (answer.errors !== undefined) throw new Error(`The stock gateway refuses: ${JSON.stringify(answer.errors)}`);
      const path = `/?extensions=${encodeURIComponent(extensions)}&variables=${variablesOf(operation, varying)}`;
      return [getRequest(path, { accept: 'application/json', 'apollo-require-preflight': 'true' }, varying)];
    },
  };
}

function bareOf(peer: Peer): Server {
  return {
    name: 'bare fastify route',
    kind: 'bare',
    port: peer.port,
    pids: [peer.pid],
    requests: async ({ unchanged }) => [
      getRequest('/graphql', unchanged ? { 'if-none-match': '"benchmark"' } : {}, { kind: 'none' }),
    ],
  };
}

interface Row {
  readonly scenario: Scenario;
  readonly server: Server;
  readonly rounds: readonly (LoadResult & { readonly cpuMicroseconds: number })[];
}

async function measure(servers: readonly Server[], load: HttpLoad, { quick }: BenchmarkOptions): Promise<Row[]> {
  const rows: Row[] = [];
  for (const scenario of SCENARIOS) {
    const taking = servers.filter(({ kind }) => (kind !== 'stock' && kind !== 'bare') || scenario.peers.includes(kind));
    const requests = new Map<Server, readonly LoadRequest[]>();
    for (const server of taking) requests.set(server, await server.requests(scenario));
    const rounds = new Map(taking.map((server) => [server, [] as Row['rounds'][number][]]));
    for (let round = 0; round < (quick ? 2 : 5); round++) {
      for (const server of taking) {
        let before = 0;
        const result = await load.run(
          {
            port: server.port,
            requests: requests.get(server) ?? [],
            connections: CONNECTIONS,
            warmUpMs: round === 0 ? 1_500 : 500,
            measuredMs: quick ? 2_000 : 4_000,
            status: scenario.unchanged ? 304 : 200,
          },
          async () => void (before = await cpuSecondsOf(server.pids)),
        );
        const cpuSeconds = (await cpuSecondsOf(server.pids)) - before;
        if (result.others > result.answers / 100)
          throw new Error(`${server.name}, ${scenario.what}: ${result.others} other answers: ${result.firstOther}`);
        rounds.get(server)?.push({ ...result, cpuMicroseconds: (cpuSeconds / result.answers) * 1e6 });
      }
    }
    for (const [server, results] of rounds) rows.push({ scenario, server, rounds: results });
  }
  return rows;
}

function of(row: Row | undefined, member: 'perSecond' | 'p50Ms' | 'p99Ms' | 'cpuMicroseconds' | 'bodyBytes'): number {
  return median((row?.rounds ?? []).map((round) => round[member]));
}

function print(rows: readonly Row[]): void {
  console.log(`\nReads by ${CONNECTIONS} connections, ${cpus().length} × ${cpus()[0]?.model}\n`);
  printTable(
    [
      'what',
      'way',
      'per second',
      'p50, ms',
      'p99, ms',
      'CPU of all its processes, µs each',
      'body, bytes',
      'load: CPU share',
    ],
    rows.map((row) => [
      row.scenario.what,
      row.server.name,
      of(row, 'perSecond'),
      of(row, 'p50Ms'),
      of(row, 'p99Ms'),
      of(row, 'cpuMicroseconds'),
      String(of(row, 'bodyBytes')),
      median(row.rounds.map(({ clientCpuSeconds, answers, perSecond }) => clientCpuSeconds / (answers / perSecond))),
    ]),
  );
  console.log();
  for (const row of rows) {
    const { scenario, server } = row;
    if (server.kind === 'stock' || server.kind === 'bare') continue;
    for (const kind of scenario.peers) {
      const peer = rows.find((other) => other.scenario === scenario && other.server.kind === kind);
      const goal = scenario.goal.of === kind ? ` (goal ≥ ${scenario.goal.times} ×)` : '';
      console.log(
        `${scenario.what}, ${server.kind}: ${short(of(row, 'perSecond') / of(peer, 'perSecond'))} × the rate of ${kind}${goal}, ${short(of(row, 'cpuMicroseconds') / of(peer, 'cpuMicroseconds'))} × its CPU.`,
      );
    }
  }
}

/** Prints the table. Takes about eight minutes, or two with `quick`. Linux only: it reads /proc. */
export async function run(options: BenchmarkOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-bench-reads-'));
  const stops: (() => Promise<void>)[] = [];
  const started = <T extends { stop(): Promise<void> }>(what: T): T => {
    stops.unshift(() => what.stop());
    return what;
  };
  try {
    const servers: Server[] = [];
    for (const form of ['one process', 'distributed'] as const) {
      const plane = await BenchmarkControlPlane.start({ form });
      if (plane === null) {
        console.log('No redis-server on this machine: the distributed form is left out.');
        continue;
      }
      started(plane);
      await fillFlags(plane.api, FLAGS);
      servers.push(await serverOf(plane));
      if (form === 'distributed') continue;
      const { flags } = await plane.api.ask<{ flags: { nodes: unknown } }>(
        `{ flags(first: ${FLAGS}) { nodes { ${FLAG_FIELDS} } } }`,
      );
      await writeFile(join(folder, 'flags.json'), JSON.stringify(flags.nodes));
      const subgraph = started(await Peer.start('stock-subgraph', join(folder, 'flags.json')));
      servers.push(stockOf(started(await Peer.start('stock-gateway', subgraph.url)), subgraph));
      servers.push(bareOf(started(await Peer.start('bare-fastify', '150'))));
    }
    print(await measure(servers, started(new HttpLoad()), options));
  } finally {
    for (const stop of stops) await stop();
    await rm(folder, { recursive: true, force: true });
  }
}
