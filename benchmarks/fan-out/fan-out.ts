/**
 * Measures the cost of one change to many vehicles: FleetFlag's subscription server (one execution, one frame, patched
 * with each client's id) compared with graphql-ws's `useServer` (one execution for each socket). Each server runs in a
 * process of its own, and the subscribers in another.
 */
import type { SubscriberCommand, SubscriberMessage, ServerCommand, ServerMessage, Way } from './fan-out-messages.ts';
import { Participant } from '../harness/participant.ts';

const SUBSCRIBERS = [1_000, 5_000];
/** Changes sent one at a time, and changes sent together. */
const WARM_UP_ROUNDS = 5;
const SINGLE_ROUNDS = 12;
const BURST_ROUNDS = 3;
const BURST = 8;

interface Row {
  readonly way: Way;
  readonly subscribers: number;
  readonly cpuPer10k: number;
  readonly burstCpuPer10k: number;
  readonly kilobytes: number;
  readonly lastMilliseconds: number;
  readonly messageBytes: number;
}

/** Gives the number of sockets that a process may open, with some room for other files. */
function socketLimit(): number {
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft: number | string } } };
  const soft = Number(report.userLimits?.open_files?.soft);
  return Number.isFinite(soft) ? soft - 200 : Infinity;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

async function measure(way: Way, subscribers: number): Promise<Row> {
  const server = Participant.start<ServerCommand, ServerMessage>(new URL('./fan-out-server.ts', import.meta.url), [
    way,
  ]);
  let started: Participant<SubscriberCommand, SubscriberMessage> | undefined;
  const sample = (what: ServerCommand & { sample: string }) => {
    server.tell(what);
    return server.next('cpuSeconds');
  };
  try {
    const { port } = await server.next('port');
    const empty = await sample({ sample: 'memory' });
    const subscriberProcess = Participant.start<SubscriberCommand, SubscriberMessage>(
      new URL('./fan-out-subscribers.ts', import.meta.url),
      [`ws://127.0.0.1:${port}/graphql`, String(subscribers)],
    );
    started = subscriberProcess;
    await subscriberProcess.next('connected');
    const full = await sample({ sample: 'memory' });

    let messageBytes = 0;
    const rounds = async (count: number, events: number) => {
      const before = await sample({ sample: 'cpu' });
      const durations: number[] = [];
      for (let round = 0; round < count; round++) {
        subscriberProcess.tell({ expect: subscribers * events });
        server.tell({ emit: events });
        const { emittedAtMs } = await server.next('emittedAtMs');
        const answer = await subscriberProcess.next('lastAtMs');
        durations.push(answer.lastAtMs - emittedAtMs);
        messageBytes = answer.messageBytes;
      }
      const after = await sample({ sample: 'cpu' });
      return {
        cpuPer10k: ((after.cpuSeconds - before.cpuSeconds) / (count * events * subscribers)) * 10_000,
        last: median(durations),
      };
    };
    // Warms up: code that has run only once or twice is not yet compiled.
    await rounds(WARM_UP_ROUNDS, 1);
    const single = await rounds(SINGLE_ROUNDS, 1);
    const burst = await rounds(BURST_ROUNDS, BURST);
    return {
      way,
      subscribers,
      cpuPer10k: single.cpuPer10k,
      burstCpuPer10k: burst.cpuPer10k,
      kilobytes: (full.residentBytes - empty.residentBytes) / 1024 / subscribers,
      lastMilliseconds: single.last,
      messageBytes,
    };
  } finally {
    await started?.stop();
    await server.stop();
  }
}

/** Prints the table. Takes about a minute. */
export async function run(): Promise<void> {
  const limit = socketLimit();
  const counts = [...new Set(SUBSCRIBERS.map((count) => Math.min(count, limit)))];
  const rows: Row[] = [];
  for (const subscribers of counts) {
    for (const way of ['useServer', 'shared'] as const) rows.push(await measure(way, subscribers));
  }
  console.log(`\nFan-out: one change to many subscribers (${rows[0]?.messageBytes ?? 0} bytes each)\n`);
  console.log(
    '| way | subscribers | CPU s / 10k deliveries | the same, 8 changes at once | KB / connection | until the last, ms |',
  );
  console.log('|---|---|---|---|---|---|');
  for (const row of rows) {
    const name =
      row.way === 'shared'
        ? 'FleetFlag: one execution, one patched frame'
        : 'graphql-ws useServer: one execution for each socket';
    console.log(
      `| ${name} | ${row.subscribers} | ${row.cpuPer10k.toFixed(3)} | ${row.burstCpuPer10k.toFixed(3)} | ${row.kilobytes.toFixed(1)} | ${row.lastMilliseconds.toFixed(0)} |`,
    );
  }
  for (const subscribers of counts) {
    const [peer, shared] = ['useServer', 'shared'].map((way) =>
      rows.find((row) => row.way === way && row.subscribers === subscribers),
    );
    if (peer === undefined || shared === undefined) continue;
    const times = (member: 'cpuPer10k' | 'burstCpuPer10k' | 'kilobytes' | 'lastMilliseconds') =>
      `${(peer[member] / shared[member]).toFixed(1)}×`;
    console.log(
      `\n${subscribers} subscribers: useServer takes ${times('cpuPer10k')} the CPU (${times('burstCpuPer10k')} in bursts), ${times('kilobytes')} the memory, ${times('lastMilliseconds')} the time.`,
    );
  }
}
