/**
 * Measures the ingestion of measurements in rows a second: 500 vehicles with their tokens report through the gateway of
 * a real control plane into the embedded engine. A bare loop of the ClickHouse client that inserts the same rows into
 * the same tables serves as comparison. Server, vehicles and comparison are separate processes, and before the clock
 * starts each has stored one batch of each vehicle. Meanwhile an operator pulls and releases a kill switch, as before
 * the vehicles came: the difference in duration is the cost of the fleet's measurements for operators.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createVehicleTokens } from '../../core/credentials/vehicle-token.ts';
import { Child } from '../../commands/demo/child-process.ts';
import { deleteEmbeddedPostgres } from '../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { COLLECTOR_LIMITS } from '../../subgraphs/experiments/metrics/metric-collector.ts';
import { BATCH_ITEMS, VEHICLES, vinOf } from './ingestion-rows.ts';
import { Operator, type Waits } from './ingestion-operator.ts';

/** Batches of each vehicle, beside the warm-up's: a quarter of a million rows in all. */
const BATCHES = 1;
/** The operator's changes before the vehicles come; the first ones are slow, because their code is not yet compiled. */
const IDLE_PULLS = 60;

interface Row {
  readonly way: string;
  readonly rowsPerSecond: number;
  /** Peak resident megabytes of the server, or of the comparison's process. */
  readonly peakMb: number;
  /** CPU seconds of the server or the comparison's process, without those of the vehicles. */
  readonly cpuPerMillion: number;
  readonly retries: number;
}

interface OwnRow extends Row {
  /** Durations of the operator's changes, alone and while batches came. */
  readonly waits: { readonly idle: Waits; readonly busy: Waits };
}

/** Reads the peak resident megabytes of a process (from Linux). */
async function peakOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/VmHWM:\s+(\d+)/.exec(text)?.[1] ?? NaN) / 1024;
}

/** Reads the CPU seconds of a process. */
async function cpuOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [user, system] = text.slice(text.lastIndexOf(')')).split(' ').slice(12, 14).map(Number);
  return ((user ?? NaN) + (system ?? NaN)) / 100;
}

interface Result {
  readonly milliseconds: number;
  readonly rows: number;
  readonly retries?: number;
  readonly cpuSeconds?: number;
  readonly peakMb?: number;
}

async function resultOf(child: Child): Promise<Result> {
  const [, text = ''] = await child.printed(/RESULT (.*)\n/);
  return JSON.parse(text) as Result;
}

function rowOf(way: string, { milliseconds, rows, retries = 0, cpuSeconds = NaN, peakMb = NaN }: Result): Row {
  return {
    way,
    rowsPerSecond: (rows / milliseconds) * 1_000,
    cpuPerMillion: (cpuSeconds / rows) * 1e6,
    peakMb,
    retries,
  };
}

/** Starts a control plane and the vehicles' process, and measures them. */
async function throughGateway(folder: string): Promise<OwnRow> {
  const adminPassword = randomBytes(16).toString('base64url');
  const secret = randomBytes(32).toString('base64url');
  const dataDir = join(folder, 'control-plane');
  const server = new Child(['commands/start.ts'], {
    PORT: '0',
    FLEETFLAG_DATA_DIR: dataDir,
    FLEETFLAG_INTERNAL_SECRET: secret,
    FLEETFLAG_ADMIN_PASSWORD: adminPassword,
    LOG_LEVEL: 'warn',
  });
  let vehicles: Child | undefined;
  try {
    const [, port] = await server.printed(/FleetFlag ready at http:\/\/localhost:(\d+)/);
    const operator = await Operator.signIn(`http://127.0.0.1:${port}`, 'admin@fleetflag.local', adminPassword);
    const idle = await operator.pull(() => operator.pulls >= IDLE_PULLS);
    const tokens = createVehicleTokens(secret);
    const expiresAt = new Date(Date.now() + 3_600_000);
    const tokensFile = join(folder, 'tokens.json');
    await writeFile(
      tokensFile,
      JSON.stringify(
        await Promise.all(
          Array.from({ length: VEHICLES }, (_, vehicle) => tokens.issue(vinOf(vehicle), 'production', expiresAt)),
        ),
      ),
    );
    vehicles = new Child([
      'benchmarks/ingestion/ingestion-vehicles.ts',
      `ws://127.0.0.1:${port}/graphql`,
      tokensFile,
      String(BATCHES),
    ]);
    await vehicles.printed(/STARTED/);
    const before = await cpuOf(server.pid);
    let over = false;
    const stored = resultOf(vehicles).finally(() => (over = true));
    const [result, busy] = await Promise.all([stored, operator.pull(() => over)]);
    const cpuSeconds = (await cpuOf(server.pid)) - before;
    const row = rowOf(`FleetFlag: ${VEHICLES} vehicles, batches of ${BATCH_ITEMS}, through the gateway`, {
      ...result,
      cpuSeconds,
      peakMb: await peakOf(server.pid),
    });
    return { ...row, waits: { idle, busy } };
  } finally {
    await vehicles?.stop();
    await server.stop();
    await deleteEmbeddedPostgres(dataDir);
  }
}

async function bareLoop(folder: string, insertRows: number): Promise<Row> {
  const peer = new Child([
    'benchmarks/ingestion/ingestion-peer.ts',
    join(folder, `peer-${insertRows}`),
    String(BATCHES),
    String(insertRows),
  ]);
  try {
    return rowOf(`a loop of the client, ${insertRows.toLocaleString('en')} rows an insert`, await resultOf(peer));
  } finally {
    await peer.stop();
  }
}

/** Prints the table. Takes about a minute. Linux only: it reads /proc. */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-bench-'));
  try {
    const own = await throughGateway(folder);
    const peers = [await bareLoop(folder, BATCH_ITEMS), await bareLoop(folder, COLLECTOR_LIMITS.insertRows)];
    console.log(
      `\nIngestion: ${(VEHICLES * BATCHES * BATCH_ITEMS).toLocaleString('en')} measurements into the embedded engine, ${cpus().length} × ${cpus()[0]?.model}\n`,
    );
    console.log('| way | rows/s | CPU s / million rows | peak, MB resident | batches refused and sent again |');
    console.log('|---|---|---|---|---|');
    for (const { way, rowsPerSecond, cpuPerMillion, peakMb, retries } of [own, ...peers]) {
      console.log(
        `| ${way} | ${rowsPerSecond.toFixed(0)} | ${cpuPerMillion.toFixed(1)} | ${peakMb.toFixed(0)} | ${retries} |`,
      );
    }
    const { idle, busy } = own.waits;
    console.log(
      `\nA kill switch, until it is answered: ${idle.median.toFixed(0)} ms (at most ${idle.most.toFixed(0)}) alone, ${busy.median.toFixed(0)} ms (at most ${busy.most.toFixed(0)}, of ${busy.count}) while batches come.`,
    );
    for (const peer of peers)
      console.log(
        `\nThrough the gateway: ${(own.rowsPerSecond / peer.rowsPerSecond).toFixed(2)} of the rows/s of ${peer.way}.`,
      );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
