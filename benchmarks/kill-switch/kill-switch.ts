/**
 * Measures the time until a vehicle learns of a kill switch, while one account keeps 120 of the most expensive queries
 * running and 500 vehicles report. Compares the kill-switch lane with the ordinary lane (disableFlag by the same
 * account) in one run. Gateway, tokens, sessions and sockets are real, and every client is a process of its own.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { OPERATIONS } from '../../agent/link/operations.ts';
import { createVehicleTokens } from '../../core/credentials/vehicle-token.ts';
import { ApiClient } from '../../commands/demo/api-client.ts';
import { Child } from '../../commands/demo/child-process.ts';
import { deleteEmbeddedPostgres } from '../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { VEHICLES, vinOf } from '../ingestion/ingestion-rows.ts';

const ADMIN = 'admin@fleetflag.local';
const OTHER = 'other@fleetflag.local';
const FLAG = 'stopped_feature';
/** Measured rounds of kill switches and of the ordinary lane, and unmeasured rounds before them. */
const ROUNDS = 12;
const ORDINARY_ROUNDS = 3;
const WARM_UP = 5;
/** Entries of the audit log, so that each page of the flood's queries is full. */
const ENTRIES = 120;
/** Batches of each vehicle; enough to last as long as the rounds do. */
const BATCHES = 4;
const START_TIMEOUT_MS = 600_000;

/** A vehicle that records when each revision arrives. */
class Listener {
  readonly #heard = new Map<number, number>();
  #told: () => void = () => undefined;

  constructor(url: string, token: string) {
    const client = createClient({
      url: `${url.replace(/^http/, 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      lazy: false,
      connectionParams: { authorization: `Bearer ${token}` },
    });
    client.subscribe<{ flagChanges: { revision: number } }>(
      { query: OPERATIONS.changes, variables: { environment: 'PRODUCTION' } },
      {
        next: ({ data }) => {
          this.#heard.set(data?.flagChanges.revision ?? 0, performance.now());
          this.#told();
        },
        error: (error) => console.error(error),
        complete: () => undefined,
      },
    );
    this.stop = () => client.dispose();
  }

  readonly stop: () => void | Promise<void>;

  /** Resolves to the time when `revision` arrived. */
  async of(revision: number): Promise<number> {
    for (;;) {
      const at = this.#heard.get(revision);
      if (at !== undefined) return at;
      await new Promise<void>((resolve) => (this.#told = resolve));
    }
  }
}

interface Times {
  readonly way: string;
  readonly sorted: readonly number[];
  refused: number;
}

/** The account that overloads the server and also stops the feature, and the account that releases it. */
interface Accounts {
  readonly api: ApiClient;
  readonly other: ApiClient;
}

const median = ({ sorted }: Times) => sorted[Math.floor(sorted.length / 2)] ?? NaN;
const worst = ({ sorted }: Times) => sorted.at(-1) ?? NaN;

/**
 * Stops the feature by `mutation` and releases it by `back` from another account, `rounds` times. Gives the
 * milliseconds until the vehicle had learned of each stop.
 */
async function stopAgain(
  { api, other }: Accounts,
  listener: Listener,
  way: string,
  [mutation, back]: readonly [string, string],
  rounds: number,
): Promise<Times> {
  const times: number[] = [];
  const result = { way, sorted: times, refused: 0 };
  const ask = async (api: ApiClient, field: string) => {
    for (;;) {
      try {
        const answer = await api.ask<Record<string, { flag: { revision: number } }>>(
          `mutation { ${field} { flag { revision } } }`,
        );
        return answer[field.split('(')[0] ?? '']?.flag.revision ?? 0;
      } catch (error) {
        if (field === mutation) result.refused += 1;
        console.error(`Refused, and tried again: ${field}: ${String(error)}`);
      }
    }
  };
  for (let round = 0; round < rounds; round++) {
    const from = performance.now();
    const revision = await ask(api, mutation);
    times.push((await listener.of(revision)) - from);
    await ask(other, back);
    await pause(50);
  }
  console.error(`${way}: ${times.map((time) => time.toFixed(0)).join(', ')} ms`);
  times.sort((a, b) => a - b);
  return result;
}

const KILL = [
  `killSwitch(flagKey: "${FLAG}", reason: "Benchmark")`,
  `releaseKillSwitch(flagKey: "${FLAG}", reason: "Benchmark")`,
] as const;
const DISABLE = [`disableFlag(key: "${FLAG}")`, `enableFlag(key: "${FLAG}")`] as const;

/** Prints the table. Takes some minutes. */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-bench-'));
  const dataDir = join(folder, 'control-plane');
  const adminPassword = randomBytes(16).toString('base64url');
  const secret = randomBytes(32).toString('base64url');
  const children: Child[] = [];
  const started = (child: Child) => (children.push(child), child);
  let listener: Listener | undefined;
  try {
    const server = started(
      new Child(['commands/start.ts'], {
        PORT: '0',
        FLEETFLAG_DATA_DIR: dataDir,
        FLEETFLAG_INTERNAL_SECRET: secret,
        FLEETFLAG_ADMIN_PASSWORD: adminPassword,
        LOG_LEVEL: 'error',
      }),
    );
    const [, port] = await server.printed(/FleetFlag ready at http:\/\/localhost:(\d+)/, 'stdout', START_TIMEOUT_MS);
    const url = `http://127.0.0.1:${port}`;
    const api = new ApiClient(url);
    await api.signIn(ADMIN, adminPassword);
    await api.ask('mutation ($input: CreateUserInput!) { createUser(input: $input) { id } }', {
      input: { email: OTHER, name: 'Other', role: 'ADMIN', password: adminPassword },
    });
    const other = new ApiClient(url);
    await other.signIn(OTHER, adminPassword);
    const accounts = { api, other };
    await api.ask('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
      input: {
        key: FLAG,
        name: FLAG,
        type: 'BOOLEAN',
        defaultValue: false,
        safetyLevel: 'ASIL_B',
        environment: 'PRODUCTION',
        enabled: true,
      },
    });
    for (let n = 0; n < ENTRIES; n++)
      await api.ask(`mutation { updateFlag(key: "${FLAG}", input: { description: "Entry ${n}" }) { applied } }`);

    const tokens = createVehicleTokens(secret);
    const expiresAt = new Date(Date.now() + 3_600_000);
    listener = new Listener(url, await tokens.issue(vinOf(VEHICLES), 'production', expiresAt));
    const tokensFile = join(folder, 'tokens.json');
    await writeFile(
      tokensFile,
      JSON.stringify(
        await Promise.all(
          Array.from({ length: VEHICLES }, (_, vehicle) => tokens.issue(vinOf(vehicle), 'production', expiresAt)),
        ),
      ),
    );

    await stopAgain(accounts, listener, '', KILL, WARM_UP);
    const alone = await stopAgain(accounts, listener, 'kill switch, nothing else going on', KILL, ROUNDS);
    const vehicles = started(
      new Child([
        'benchmarks/ingestion/ingestion-vehicles.ts',
        `${url.replace(/^http/, 'ws')}/graphql`,
        tokensFile,
        String(BATCHES),
      ]),
    );
    await vehicles.printed(/STARTED/, 'stdout', START_TIMEOUT_MS);
    const flood = started(new Child(['benchmarks/kill-switch/kill-switch-flood.ts', url, ADMIN, adminPassword]));
    await flood.printed(/STARTED/, 'stdout', START_TIMEOUT_MS);
    const own = await stopAgain(accounts, listener, 'kill switch, busy', KILL, ROUNDS);
    const ordinary = await stopAgain(
      accounts,
      listener,
      'the ordinary way (disableFlag), busy',
      DISABLE,
      ORDINARY_ROUNDS,
    );

    console.log(
      `\nA feature stopped by an account that keeps 120 queries of cost 1,818 under way, while ${VEHICLES} vehicles report, ${cpus().length} × ${cpus()[0]?.model}\n`,
    );
    console.log(
      '| way | median until a vehicle has heard, ms | worst, ms | stops refused and tried again |\n|---|---|---|---|',
    );
    for (const times of [alone, own, ordinary])
      console.log(`| ${times.way} | ${median(times).toFixed(0)} | ${worst(times).toFixed(0)} | ${times.refused} |`);
    console.log(
      `\nIts own way takes ${(median(own) / median(ordinary)).toFixed(3)} of the ordinary one's time (median), ${(worst(own) / worst(ordinary)).toFixed(3)} (worst).`,
    );
  } finally {
    await listener?.stop();
    for (const child of children.reverse()) await child.stop();
    await deleteEmbeddedPostgres(dataDir);
    await rm(folder, { recursive: true, force: true });
  }
}
