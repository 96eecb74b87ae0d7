/**
 * The process of the lean vehicles of a run: the agent's own connection, sync and heartbeat over real sockets, without
 * a store of their own, so that hundreds of them fit into one process.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { GatewayConnection } from '../../agent/link/gateway-connection.ts';
import type { GatewayLink } from '../../agent/link/gateway-link.ts';
import { Route } from '../../agent/link/route.ts';
import { emptyState, heldRevision, type VehicleState } from '../../agent/state.ts';
import { SyncHistory } from '../../agent/sync/sync-history.ts';
import { SyncSession } from '../../agent/sync/sync-session.ts';
import { HeartbeatSender } from '../../agent/telemetry/heartbeat/heartbeat-sender.ts';
import { AgeingClock } from '../../agent/trust/ageing-clock.ts';
import { Freshness } from '../../agent/trust/freshness.ts';
import { PinnedKeys } from '../../agent/trust/pinned-keys.ts';
import { AGENT_VERSION } from '../../agent/version.ts';
import { Backoff } from '../../core/async/backoff.ts';
import type { Entry, HeldEntry } from '../../tests/faults/history.ts';
import { METRIC, type FleetCommand, type FleetMessage } from './fleet-messages.ts';
import { machineMs, type RecordedLine } from './recorder.ts';

const TIMINGS = { openMs: 6_000, acknowledgeMs: 6_000, pingMs: 5_000, pongMs: 4_000, requestMs: 8_000 };
/**
 * Every second vehicle sends heartbeats, whose proofs would also show what the stream had lost; the other vehicles have
 * the stream alone.
 */
const HEARTBEATS_MS = [20_000, 3_600_000] as const;
const REPORT =
  'mutation Report($input: MetricBatchInput!) { reportMetrics(input: $input) { accepted duplicates dropped } }';
const ITEMS = 3;

const random = Math.random;
const silent = () => undefined;
const backoff = () => new Backoff({ baseMs: 250, capMs: 2_500, random });
const rare = () => new Backoff({ baseMs: 60_000, capMs: 3_600_000, random });

/** A message to a parent that has ended is lost: the end of the channel ends this process. */
const say = (message: FleetMessage) => process.send?.(message, undefined, undefined, () => undefined);
let entries: Entry[] = [];
/** Sends what was noted, many lines at a time. */
setInterval(() => {
  if (entries.length === 0) return;
  say({ entries });
  entries = [];
}, 50);
const note = (line: RecordedLine) => entries.push({ ...line, at: machineMs() });

/** Ids of requests that the run itself does not use. */
let calls = 1_000_000_000;
let isQuiet = false;

class LeanVehicle {
  state: VehicleState;
  offsetMs = 0;
  /** A batch that is not acknowledged; it is sent again as it was. */
  batch: { readonly batchId: string; readonly items: readonly object[] } | null = null;
  readonly connection: GatewayConnection;
  #link: GatewayLink | null = null;
  readonly #now = () => Date.now() + this.offsetMs;
  readonly #clock = new AgeingClock(this.#now);
  readonly #freshness = new Freshness({
    clock: this.#clock,
    random,
    unanswered: rare(),
    reassignments: rare(),
    assignmentSpreadMs: 5_000,
  });
  readonly #history = new SyncHistory({
    backoff: rare(),
    newLinkMs: 60_000,
    belowMs: 10_000,
    runningMs: () => performance.now(),
  });

  constructor(
    readonly vin: string,
    token: string,
    private readonly keys: PinnedKeys,
    url: string,
    private readonly flag: string | null,
    private readonly heartbeatMs: number,
  ) {
    const identity = { vin, environment: 'production' } as const;
    this.state = emptyState(identity);
    note({ kind: 'start', vin, revision: 0 });
    this.connection = new GatewayConnection({
      url,
      route: new Route({ ca: null, proxy: null }),
      timings: TIMINGS,
      backoff: backoff(),
      random,
      stableMs: 2_000,
      log: silent,
      now: this.#now,
      credential: async () => ({ token, identity, openFault: null }),
      use: (link) => this.#use(link),
    });
  }

  async #use(link: GatewayLink): Promise<void> {
    this.#link = link;
    const { environment } = this.state.identity;
    const session = new SyncSession({
      link,
      keys: this.keys,
      log: silent,
      now: this.#now,
      ageingClock: this.#clock,
      freshness: this.#freshness,
      history: this.#history,
      aheadMs: 2_000,
      staleCheckMs: 1_000,
      staleBackoff: rare(),
      state: () => this.state,
      commit: async (next) => {
        this.#noteState(next);
        this.state = next;
        heartbeat.statePersisted();
      },
      refuse: ({ reason }) => note({ kind: 'refusal', vin: this.vin, reason }),
      synced: silent,
      touched: silent,
      resyncDelayMs: () => 600_000,
      random,
      backoff: backoff(),
    });
    const heartbeat = new HeartbeatSender({
      link,
      facts: () => ({
        agentVersion: AGENT_VERSION,
        cacheBytes: 0,
        complete: this.state.complete,
        ...(this.state.complete && { appliedRevision: heldRevision(this.state) }),
      }),
      environment,
      proofQuery: () => session.operations.proof,
      proof: (jws, askedAtMs) => session.prove(jws, askedAtMs),
      intervalMs: this.heartbeatMs,
      spreadMs: this.heartbeatMs / 4,
      random,
      log: silent,
    });
    await Promise.all([session.run(), heartbeat.run(), this.#report(link)]);
  }

  /** Ends the present connection; another one follows. */
  loseConnection(): void {
    this.#link?.close();
  }

  #noteState(next: VehicleState): void {
    const before = this.state;
    const flags: HeldEntry[] = [];
    for (const [key, flag] of next.flags) {
      if (before.flags.get(key) === flag) continue;
      flags.push([key, flag.held.revision, flag.served?.revision ?? 0, (flag.ahead ?? flag.held).settled]);
    }
    const gone = [...before.flags.keys()].filter((key) => !next.flags.has(key));
    const { revision, complete } = next;
    if (revision === before.revision && complete === before.complete && gone.length === 0) {
      // A proof that only makes the flags younger is no news.
      const isNews = flags.some(([key, held, served]) => {
        const flag = before.flags.get(key);
        return flag?.held.revision !== held || (flag.served?.revision ?? 0) !== served;
      });
      if (!isNews) return;
    }
    note({ kind: 'state', vin: this.vin, revision, complete, flags, gone });
  }

  /** Reports measurements until the link ends. A batch is sent until it is acknowledged. */
  async #report(link: GatewayLink): Promise<void> {
    let isOver = false;
    void link.ended.then(() => (isOver = true));
    while (this.flag !== null && !isOver) {
      if (this.state.flags.has(this.flag) && (this.batch !== null || !isQuiet)) await this.#send(link, this.flag);
      await pause(isQuiet ? 100 : 700 + random() * 1_500);
    }
  }

  async #send(link: GatewayLink, flagKey: string): Promise<void> {
    const input = (this.batch ??= newBatch(flagKey));
    const id = (calls += 1);
    const call = { op: 'report', vin: this.vin, batch: input.batchId, items: ITEMS } as const;
    note({ kind: 'call', id, client: this.vin, call });
    try {
      await link.request(REPORT, { input });
      this.batch = null;
      note({ kind: 'answer', id, answer: { ok: true } });
    } catch (error) {
      note({ kind: 'answer', id, answer: { ok: false, code: (error as Error).name, isRefusal: false } });
    }
  }
}

function newBatch(flagKey: string): NonNullable<LeanVehicle['batch']> {
  const timestamp = new Date().toISOString();
  const items = Array.from({ length: ITEMS }, (_, value) => ({
    flagKey,
    variant: 'control',
    metricName: METRIC,
    value,
    timestamp,
  }));
  return { batchId: randomUUID(), items };
}

const vehicles: LeanVehicle[] = [];

async function obey(command: FleetCommand): Promise<void> {
  if ('begin' in command) {
    const { url, keys, reporters, flag } = command.begin;
    const pinned = await PinnedKeys.parse(keys);
    for (const [index, { vin, token }] of command.begin.vehicles.entries())
      vehicles.push(
        new LeanVehicle(vin, token, pinned, url, index < reporters ? flag : null, HEARTBEATS_MS[index % 2]!),
      );
    for (const { connection } of vehicles) connection.start();
  } else if ('clocks' in command) {
    const { vins, offsetMs } = command.clocks;
    for (const vehicle of vehicles) if (vins.includes(vehicle.vin)) vehicle.offsetMs = offsetMs;
  } else if ('reconnect' in command) {
    for (const vehicle of vehicles) if (command.reconnect.includes(vehicle.vin)) vehicle.loseConnection();
  } else if ('quiet' in command) isQuiet = true;
  else
    say({
      behind: vehicles.flatMap(({ vin, state, connection, batch }) => {
        const faults = [
          ...(state.complete && state.revision === command.behind ? [] : [`at revision ${state.revision}`]),
          ...(connection.connected ? [] : [`not connected: ${connection.fault}`]),
          ...(batch !== null && isQuiet ? ['measurements wait'] : []),
        ];
        return faults.length === 0 ? [] : [`${vin} ${faults.join(', ')}`];
      }),
      connected: vehicles.flatMap(({ vin, connection }) => (connection.connected ? [vin] : [])),
    });
}

process.on('message', (command: FleetCommand) => void obey(command));
process.on('disconnect', () => process.exit(0));
say({ ready: true });
