/**
 * Measures what people ask of the control plane: the dashboard's page of flags with rules, names and histories, and the
 * plain list. The real gateway in one process, with sessions of several people, is compared with a stock Apollo gateway
 * (peers/stock-pages.ts) over the same database. Each request has a text of its own, so that each answer is computed.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ApiClient } from '../commands/demo/api-client.ts';
import {
  deleteEmbeddedPostgres,
  startEmbeddedPostgres,
} from '../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { BenchmarkControlPlane } from './harness/control-plane.ts';
import { fillFlags } from './harness/flags.ts';
import { median, percentile, printTable } from './harness/numbers.ts';
import type { BenchmarkOptions } from './harness/options.ts';
import { Peer } from './harness/peer.ts';
import { cpuSecondsOf } from './harness/process-usage.ts';

const FLAGS = 30;
/** Further changes of each flag, for its history. */
const CHANGES = 5;
const CONNECTIONS = 50;
/** People who ask at the same time: the gateway lets large operations of one account take turns. */
const PEOPLE = 5;
/** Requests a second of the paced runs. */
const PACE = 20;
const PASSWORD = 'correct horse battery staple';

const FLAG =
  'key name enabled safetyLevel environment revision updatedAt rules { id type priority enabled conditions value variant }';
const PAGES = {
  'dashboard page': `flags(first: ${FLAGS}) { totalCount nodes { ${FLAG} createdBy { name } updatedBy { name } history(first: 5) { nodes { action createdAt user { name } } } } }`,
  'list of flags': `flags(first: ${FLAGS}) { totalCount nodes { ${FLAG} } }`,
} as const;

/** A server under measurement. */
interface Contender {
  readonly name: string;
  readonly url: string;
  /** The headers of each person who asks. */
  readonly headers: readonly Readonly<Record<string, string>>[];
  readonly pids: readonly number[];
}

interface Measured {
  readonly perSecond: number;
  readonly cpuMs: number;
  readonly p50: number;
  readonly p99: number;
  /** Requests that were refused for now, or failed within a stock gateway that is overloaded; not among the answers. */
  readonly failed: number;
}

let asked = 0;

function post(agent: Agent, { url, headers }: Contender, fields: string, person: number): Promise<string> {
  const body = JSON.stringify({ query: `{ ${fields} } # ${++asked}` });
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { agent, method: 'POST', headers: { 'content-type': 'application/json', ...headers[person % headers.length] } },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(text)).on('error', reject);
      },
    );
    sent.on('error', reject).end(body);
  });
}

/** Sends as many requests as are answered on `CONNECTIONS` connections, or `pace` a second. */
async function load(contender: Contender, fields: string, seconds: number, pace: number | null): Promise<Measured> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const latencies: number[] = [];
  let [failed, fault] = [0, ''];
  const one = async (person: number) => {
    const begun = performance.now();
    const text = await post(agent, contender, fields, person);
    if (!text.includes('"errors"')) latencies.push(performance.now() - begun);
    else [failed, fault] = [failed + 1, text];
  };
  const cpu = await cpuSecondsOf(contender.pids);
  const begun = performance.now();
  const sent: Promise<void>[] = [];
  if (pace === null) {
    const connection = async (person: number) => {
      while (performance.now() < begun + seconds * 1_000) await one(person);
    };
    for (let index = 0; index < CONNECTIONS; index++) sent.push(connection(index));
  } else {
    for (let index = 0; index < seconds * pace; index++) {
      await delay(Math.max(0, begun + (index * 1_000) / pace - performance.now()));
      sent.push(one(index));
    }
  }
  await Promise.all(sent);
  const elapsed = performance.now() - begun;
  agent.destroy();
  if (latencies.length === 0) throw new Error(`${contender.name}: ${fault.slice(0, 500)}`);
  return {
    perSecond: (latencies.length / elapsed) * 1_000,
    cpuMs: ((await cpuSecondsOf(contender.pids)) - cpu) * (1_000 / latencies.length),
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    failed,
  };
}

/** Creates the flags with their histories, and people who read; gives the people's headers. */
async function fill({ api, url }: BenchmarkControlPlane): Promise<Record<string, string>[]> {
  await fillFlags(api, FLAGS);
  for (let index = 0; index < FLAGS; index++)
    for (let turn = 0; turn < CHANGES; turn++)
      await api.ask(
        `mutation { updateFlag(key: "feature_${index}", input: { description: "Change ${turn}" }) { applied } }`,
      );
  const headers = [];
  for (let person = 0; person < PEOPLE; person++) {
    const email = `reader${person}@example.com`;
    await api.ask(
      `mutation { createUser(input: { email: "${email}", name: "Reader", password: "${PASSWORD}", role: READ }) { id } }`,
    );
    const { login } = await new ApiClient(url).ask<{ login: { token: string } }>(
      `mutation { login(email: "${email}", password: "${PASSWORD}") { token } }`,
    );
    headers.push({ authorization: `Bearer ${login.token}` });
  }
  return headers;
}

/** Measures both in turn, several times, so that a busy moment of the machine does not fall on one of them alone. */
async function compare(own: Contender, stock: Contender, { quick }: BenchmarkOptions): Promise<void> {
  const [rounds, seconds] = quick ? [1, 3] : [3, 5];
  const rows: (string | number)[][] = [];
  for (const [page, fields] of Object.entries(PAGES)) {
    const results = new Map<Contender, Results>([own, stock].map((contender) => [contender, { full: [], paced: [] }]));
    for (const contender of results.keys()) await load(contender, fields, 2, null);
    for (let round = 0; round < rounds; round++) {
      for (const [contender, { full, paced }] of results) {
        full.push(await load(contender, fields, seconds, null));
        paced.push(await load(contender, fields, seconds, PACE));
      }
    }
    const of = (contender: Contender, which: keyof Results, member: keyof Measured) =>
      median((results.get(contender)?.[which] ?? []).map((measured) => measured[member]));
    for (const contender of results.keys())
      rows.push([
        page,
        contender.name,
        of(contender, 'full', 'perSecond'),
        `${(of(contender, 'full', 'perSecond') / of(stock, 'full', 'perSecond')).toFixed(2)} ×`,
        of(contender, 'full', 'cpuMs'),
        `${(of(contender, 'full', 'cpuMs') / of(stock, 'full', 'cpuMs')).toFixed(2)} ×`,
        of(contender, 'full', 'p50'),
        of(contender, 'full', 'p99'),
        of(contender, 'paced', 'p99'),
        of(contender, 'full', 'failed'),
      ]);
  }
  console.log(`\nPages: ${CONNECTIONS} connections, medians of ${rounds} rounds; each answer is computed\n`);
  printTable(
    [
      'what',
      'who',
      'answers a second',
      'of stock',
      'CPU ms each',
      'of stock',
      'p50 ms',
      'p99 ms',
      `p99 ms at ${PACE} a second`,
      'failed',
    ],
    rows,
  );
}

interface Results {
  readonly full: Measured[];
  readonly paced: Measured[];
}

/** Prints the table. Takes about two minutes. */
export async function run(options: BenchmarkOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-bench-pages-'));
  const server = await startEmbeddedPostgres({ dataDir: folder, log: () => undefined });
  let plane: BenchmarkControlPlane | null = null;
  let peer: Peer | undefined;
  try {
    plane = await BenchmarkControlPlane.start({ environment: { DATABASE_URL: server.url } });
    if (plane === null) throw new Error('The form of one process starts everywhere.');
    const headers = await fill(plane);
    peer = await Peer.start('stock-pages', server.url);
    await compare(
      { name: 'FleetFlag', url: `${plane.url}/graphql`, headers, pids: plane.pids },
      { name: 'stock Apollo gateway', url: peer.url, headers: [{}], pids: [peer.pid] },
      options,
    );
  } finally {
    await peer?.stop();
    await plane?.stop();
    await server.stop();
    await deleteEmbeddedPostgres(folder);
    await rm(folder, { recursive: true, force: true });
  }
}
