/**
 * Measures what people and programs ask of the control plane: the dashboard's page of flags with rules, names and
 * histories, the plain list, and evaluations. The real gateway in one process, with a session, is compared with a stock
 * Apollo gateway (stock-gateway.ts) over the same database.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { generateSigningKey } from '../subgraphs/flags/signing/signing.ts';
import { startEmbeddedPostgres } from '../subgraphs/shared/postgres/embedded/embedded-postgres.ts';

const FLAGS = 30;
const CHANGES = 6;
const CONNECTIONS = 50;
/** People who ask at the same time: the gateway lets large operations of one account take turns. */
const PEOPLE = 5;
const WARM_UP_SECONDS = 2;
const SECONDS = 4;
const ROUNDS = 3;
/** Requests a second of the paced runs, as many people cause at a time. */
const PACE = 20;
/** Ticks of the kernel's clock in a second, by which it counts the time of processes. */
const TICKS = 100;
const SIGNING_KEY = await generateSigningKey();
const PASSWORD = 'correct horse battery staple';
const ADMINISTRATOR = 'admin@fleetflag.local';
export const READERS = Array.from({ length: PEOPLE }, (_, index) => `reader${index}@example.com`);
const VIN = 'KMHK281HGNU000001';

const RULES = 'rules { id type priority enabled conditions value variant }';
const FLAG = `key name enabled safetyLevel environment revision updatedAt ${RULES}`;
const WORK = {
  'dashboard page': `{ flags(first: ${FLAGS}) { totalCount nodes { ${FLAG} createdBy { name } updatedBy { name } history(first: 5) { nodes { action createdAt user { name } } } } } }`,
  'list of flags': `{ flags(first: ${FLAGS}) { totalCount nodes { ${FLAG} } } }`,
  evaluateFlag: `{ evaluateFlag(key: "feature_3", context: { vin: "${VIN}", model: "EV9", swVersion: "2.5.0" }) { flagKey value variant reason ruleId revision } }`,
} as const;
type Work = keyof typeof WORK;

/** A server under measurement, in a process of its own. */
export interface Contender {
  readonly name: string;
  readonly url: string;
  /** Of each of the people who ask. */
  readonly headers: readonly Readonly<Record<string, string>>[];
  readonly process: ChildProcess;
}

interface Measured {
  readonly perSecond: number;
  readonly cpuMs: number;
  readonly p50: number;
  readonly p99: number;
  /** Requests that were refused for now, and are not among the answers. */
  readonly refused: number;
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** Gives the CPU time of a process in milliseconds. */
function cpuOf({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return ((Number(fields[11]) + Number(fields[12])) / TICKS) * 1_000;
}

function post(agent: Agent, { url, headers }: Contender, body: string, person: number): Promise<string> {
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

async function checked(agent: Agent, contender: Contender, query: string, person = 0): Promise<string> {
  const text = await post(agent, contender, JSON.stringify({ query }), person);
  if (text.includes('"errors"')) throw new Error(`${contender.name}: ${text.slice(0, 500)}`);
  return text;
}

function percentile(latencies: readonly number[], share: number): number {
  const sorted = [...latencies].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

/** As many requests as the contender answers on `CONNECTIONS` connections, or `pace` a second. */
async function load(contender: Contender, query: string, seconds: number, pace: number | null): Promise<Measured> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const latencies: number[] = [];
  let refused = 0;
  const one = async (person: number) => {
    const begun = performance.now();
    const text = await post(agent, contender, JSON.stringify({ query }), person);
    if (!text.includes('"errors"')) latencies.push(performance.now() - begun);
    else if (!text.includes('retryAfter')) throw new Error(`${contender.name}: ${text.slice(0, 500)}`);
    else refused++;
  };
  const cpu = cpuOf(contender.process);
  const begun = performance.now();
  const end = begun + seconds * 1_000;
  const worker = async (person: number) => {
    while (performance.now() < end) await one(person);
  };
  if (pace === null) await Promise.all(Array.from({ length: CONNECTIONS }, (_, index) => worker(index)));
  else {
    const sent: Promise<void>[] = [];
    for (let index = 0; index < seconds * pace; index++) {
      await delay(Math.max(0, begun + (index * 1_000) / pace - performance.now()));
      sent.push(one(index));
    }
    await Promise.all(sent);
  }
  const elapsed = performance.now() - begun;
  agent.destroy();
  return {
    perSecond: (latencies.length / elapsed) * 1_000,
    cpuMs: (cpuOf(contender.process) - cpu) / latencies.length,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    refused,
  };
}

/** Starts a control plane from the sources at `root` and signs in as its administrator. */
export async function startOwn(name: string, databaseUrl: string, root: string): Promise<Contender> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fleetflag-bench-data-'));
  const child = fork(join(root, 'commands/start.ts'), [], {
    cwd: root,
    env: {
      ...process.env,
      DATABASE_URL: databaseUrl,
      FLEETFLAG_DATA_DIR: dataDir,
      FLEETFLAG_ADMIN_PASSWORD: PASSWORD,
      FLEETFLAG_SIGNING_KEY: SIGNING_KEY,
      LOG_LEVEL: 'fatal',
      PORT: '0',
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  let said = '';
  for await (const chunk of child.stdout ?? []) {
    said += String(chunk);
    if (said.includes('ready at')) break;
  }
  const url = `${/ready at (\S+)/.exec(said)?.[1]}/graphql`;
  await rm(dataDir, { recursive: true, force: true });
  return signedIn({ name, url, headers: [], process: child }, [ADMINISTRATOR]);
}

/** Signs people in. */
export async function signedIn(contender: Contender, emails: readonly string[]): Promise<Contender> {
  const agent = new Agent();
  const headers = [];
  for (const email of emails) {
    const login = `mutation { login(email: "${email}", password: "${PASSWORD}") { token } }`;
    const token = /"token":"([^"]+)"/.exec(await checked(agent, contender, login))?.[1];
    headers.push({ authorization: `Bearer ${token}` });
  }
  return { ...contender, headers };
}

export async function startStock(databaseUrl: string): Promise<Contender> {
  const child = fork(fileURLToPath(new URL('stock-gateway.ts', import.meta.url)), [databaseUrl]);
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return { name: 'stock Apollo gateway', url, headers: [{}], process: child };
}

/** Creates the flags, their rules and a history of each. */
export async function fill(contender: Contender): Promise<void> {
  const agent = new Agent({ keepAlive: true });
  const change = (mutation: string) => checked(agent, contender, `mutation { ${mutation} { __typename } }`);
  await change(`registerVehicles(input: [{ vin: "${VIN}", model: "EV9", swVersion: "2.5.0", region: "EU" }])`);
  for (const email of READERS)
    await change(`createUser(input: { email: "${email}", name: "Reader", password: "${PASSWORD}", role: READ })`);
  for (let index = 0; index < FLAGS; index++) {
    const key = `feature_${index}`;
    await change(
      `createFlag(input: { key: "${key}", name: "Feature ${index}", type: BOOLEAN, defaultValue: false, safetyLevel: NON_CRITICAL, environment: PRODUCTION, enabled: true })`,
    );
    for (const rule of [
      'type: VEHICLE_TARGET, conditions: { models: ["Ioniq 5", "Ioniq 6"], sw_version: ">= 2.5.0", regions: ["EU", "NA"] }',
      'type: USER_ATTRIBUTE, conditions: { attribute: "subscription", operator: "in", values: ["premium", "fleet"] }',
      `type: PERCENTAGE_ROLLOUT, conditions: { rollout_percentage: ${index} }`,
    ])
      await change(`createRule(flagKey: "${key}", input: { ${rule} })`);
    for (let turn = 0; turn < CHANGES; turn++)
      await change(`updateFlag(key: "${key}", input: { description: "Change ${turn}" })`);
  }
  agent.destroy();
}

/** Measures each contender in turn, in several rounds, so that what else the machine does meets all of them. */
export async function compare(contenders: readonly Contender[], rounds = ROUNDS): Promise<void> {
  console.log(`\nPages and evaluations: ${CONNECTIONS} connections, medians of ${rounds} rounds\n`);
  console.log('| what | who | answers a second | refused | CPU ms each | p50 ms | p99 ms | p99 ms at 20 a second |');
  console.log('|---|---|---|---|---|---|---|---|');
  for (const [work, query] of Object.entries(WORK) as [Work, string][]) {
    const results = new Map<Contender, { full: Measured[]; paced: Measured[] }>();
    for (const contender of contenders) {
      results.set(contender, { full: [], paced: [] });
      await load(contender, query, WARM_UP_SECONDS, null);
    }
    for (let round = 0; round < rounds; round++) {
      for (const [contender, { full, paced }] of results) {
        full.push(await load(contender, query, SECONDS, null));
        paced.push(await load(contender, query, SECONDS, PACE));
      }
    }
    const of = (contender: Contender, which: 'full' | 'paced', member: keyof Measured) =>
      median((results.get(contender)?.[which] ?? []).map((measured) => measured[member]));
    for (const contender of contenders)
      console.log(
        `| ${work} | ${contender.name} | ${of(contender, 'full', 'perSecond').toFixed(0)} | ${of(contender, 'full', 'refused')} | ${of(contender, 'full', 'cpuMs').toFixed(2)} | ${of(contender, 'full', 'p50').toFixed(1)} | ${of(contender, 'full', 'p99').toFixed(1)} | ${of(contender, 'paced', 'p99').toFixed(1)} |`,
      );
    const last = contenders.at(-1);
    if (last === undefined) continue;
    for (const contender of contenders.slice(0, -1))
      console.log(
        `\n${work}: ${contender.name} answers ${(of(contender, 'full', 'perSecond') / of(last, 'full', 'perSecond')).toFixed(2)} × as many as ${last.name}.\n`,
      );
  }
}

export async function stop({ process: child }: Contender): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

/** Prints the table. Takes about three minutes. */
export async function run(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fleetflag-bench-'));
  const server = await startEmbeddedPostgres({ dataDir, log: () => undefined });
  const contenders: Contender[] = [];
  try {
    const own = await startOwn('FleetFlag', server.url, fileURLToPath(new URL('..', import.meta.url)));
    contenders.push(own);
    await fill(own);
    contenders[0] = await signedIn(own, READERS);
    contenders.push(await startStock(server.url));
    await compare(contenders);
  } finally {
    for (const contender of contenders) await stop(contender);
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}
