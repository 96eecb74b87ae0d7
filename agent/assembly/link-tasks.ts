/**
 * The tasks of an agent while a link to the control plane lasts: it syncs, sends measurements, heartbeats and faults,
 * requests the registered facts, and keeps a backup.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Backoff } from '../../core/async/backoff.ts';
import { spreadInterval } from '../../core/async/spread.ts';
import { pendingFlags } from '../activation/active-flags.ts';
import type { ChangeOver } from '../activation/change-over.ts';
import type { CompleteAgentOptions } from './agent-options.ts';
import type { VehicleBackups } from '../backup/vehicle-backups.ts';
import type { PresentFlags } from '../evaluate/present-flags.ts';
import { FaultSender } from '../faults/fault-sender.ts';
import type { VehicleFaults } from '../faults/vehicle-faults.ts';
import { FactsRefresher } from '../facts/facts-refresher.ts';
import type { KnownFacts } from '../facts/known-facts.ts';
import { verifyFacts } from '../facts/verify-facts.ts';
import type { GatewayLink } from '../link/gateway-link.ts';
import { DISK_WAIT_MS } from '../store/disk-wait.ts';
import type { VehicleStore } from '../store/vehicle-store.ts';
import { SyncHistory } from '../sync/sync-history.ts';
import { SyncSession } from '../sync/sync-session.ts';
import { HeartbeatSender, type HeartbeatOptions } from '../telemetry/heartbeat/heartbeat-sender.ts';
import type { MetricQueue } from '../telemetry/metrics/metric-queue.ts';
import type { MetricRecorder } from '../telemetry/metrics/metric-recorder.ts';
import { MetricSender } from '../telemetry/metrics/metric-sender.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';
import { Freshness } from '../trust/freshness.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import type { Refusal, RefusalCounter } from '../trust/refusals.ts';
import { AGENT_VERSION } from '../version.ts';

/** The memory of an agent's syncs, which outlives a link. */
export interface SyncMemory {
  readonly freshness: Freshness;
  readonly history: SyncHistory;
}

/** The parts of an agent that outlive a link. */
export interface LinkTaskParts extends SyncMemory {
  readonly options: CompleteAgentOptions;
  /** The flags; they have a state before the first link. */
  readonly flags: PresentFlags;
  readonly keys: PinnedKeys;
  readonly store: VehicleStore;
  readonly changeOver: ChangeOver;
  readonly queue: MetricQueue;
  readonly recorder: MetricRecorder;
  readonly facts: KnownFacts;
  readonly ageingClock: AgeingClock;
  readonly backups: VehicleBackups;
  readonly faults: VehicleFaults;
  readonly refusals: RefusalCounter;
  /** Counts and logs refused data. */
  readonly refuse: (refusal: Refusal) => void;
  /** Called after each sync. */
  readonly synced: () => void;
  /** Called after each applied answer, with whether its proof shows that the vehicle is up to date. */
  readonly touched: (inTouch: boolean) => void;
}

/** Makes the waits between attempts that may soon succeed. */
function retryBackoff({ timings, random }: CompleteAgentOptions): Backoff {
  return new Backoff({ baseMs: timings.backoffMs, capMs: timings.backoffCapMs, random });
}

/** Makes a backoff for requests that must stay rare. */
function rareBackoff({ timings, random }: CompleteAgentOptions): Backoff {
  return new Backoff({ baseMs: timings.rareBackoffMs, capMs: timings.rareBackoffCapMs, random });
}

/** Makes the memory of an agent's syncs. */
export function syncMemory(options: CompleteAgentOptions, ageingClock: AgeingClock): SyncMemory {
  const { timings, random } = options;
  return {
    freshness: new Freshness({
      clock: ageingClock,
      random,
      unanswered: rareBackoff(options),
      reassignments: rareBackoff(options),
      assignmentSpreadMs: timings.assignmentSpreadMs,
    }),
    history: new SyncHistory({
      backoff: rareBackoff(options),
      newLinkMs: timings.rareBackoffMs,
      belowMs: timings.belowMs,
      runningMs: () => ageingClock.runningMs,
    }),
  };
}

/** Runs all tasks until the link ends. A task that does not end with the link does not hold up the next one. */
export async function runLinkTasks(link: GatewayLink, parts: LinkTaskParts): Promise<void> {
  const { options, flags, keys, queue, recorder, store, backups } = parts;
  const { log, random, timings } = options;
  const sender = new MetricSender({
    link,
    queue,
    flush: () => recorder.flush(),
    save: () => store.saveQueue(),
    sendDelayMs: () => spreadInterval(timings.metricsIntervalMs, random),
    backoff: retryBackoff(options),
    random,
    log,
  });
  // The heartbeat and the session need each other. Neither calls the other before both exist.
  const heartbeat = heartbeatSender(link, parts, {
    proofQuery: () => session.operations.proof,
    proof: (jws, askedAtMs) => session.prove(jws, askedAtMs),
  });
  flags.evaluatedContents.onFirstEvaluation(() => heartbeat.contentEvaluated());
  // A commit that ends after the link says nothing about the next one.
  let isOver = false;
  const whileLinked: LinkTaskParts = {
    ...parts,
    synced: () => void (isOver || parts.synced()),
    touched: (inTouch) => void (isOver || parts.touched(inTouch)),
  };
  const session = syncSession(link, whileLinked, () => heartbeat.statePersisted());
  const facts = new FactsRefresher({
    link,
    urgent: () => parts.facts.unconfirmed,
    verify: (jws, nonce) => verifyFacts(jws, flags.state!.identity.vin, nonce, keys),
    learn: (registered) => flags.learn(registered),
    refuse: parts.refuse,
    intervalMs: () => spreadInterval(timings.resyncMs, random),
    spreadMs: timings.heartbeatSpreadMs,
    random,
    log,
  });
  const faults = new FaultSender({
    link,
    faults: parts.faults,
    spreadMs: timings.faultsSpreadMs,
    backoff: retryBackoff(options),
    rare: rareBackoff(options),
    random,
    log,
  });
  // Changes that came over the last link may still wait for their turn: this one goes on from their state.
  await parts.changeOver.settled();
  await backups.beforeSync(link);
  const tasks = [session.run(), sender.run(), heartbeat.run(), facts.run(), faults.run(), backups.run(link)];
  const late = link.ended.then(() => delay(DISK_WAIT_MS, undefined, { ref: false }));
  await Promise.race([Promise.all(tasks), late]);
  isOver = true;
}

function heartbeatSender(
  link: GatewayLink,
  { options, flags, store, ageingClock, refusals }: LinkTaskParts,
  proofs: Pick<HeartbeatOptions, 'proofQuery' | 'proof'>,
): HeartbeatSender {
  const { vehicle, log, random, timings } = options;
  return new HeartbeatSender({
    link,
    facts: () => {
      const { persistedRevision, bytes } = store.status();
      const { proof: lastProof, complete } = flags.state!;
      const clockOffsetSeconds = ageingClock.differenceSeconds;
      return {
        ...(vehicle.swVersion !== undefined && { swVersion: vehicle.swVersion }),
        agentVersion: AGENT_VERSION,
        // A revision is reported only where a proof has named its set.
        ...(lastProof?.set != null && complete && { appliedRevision: persistedRevision }),
        cacheBytes: bytes,
        ...(clockOffsetSeconds !== null && { clockOffsetSeconds }),
        refusals: refusals.totals(),
        complete,
        pending: pendingFlags(flags.state!)
          .filter(({ key }) => !flags.state!.returns.has(key))
          .map(({ key, revision }) => ({ key, revision })),
        evaluated: flags.evaluatedContents.list(),
      };
    },
    environment: flags.state!.identity.environment,
    ...proofs,
    intervalMs: timings.heartbeatMs,
    spreadMs: timings.heartbeatSpreadMs,
    random,
    log,
  });
}

/**
 * Makes the session that keeps the flags in sync.
 *
 * @param persisted called when a state is on disk
 */
function syncSession(link: GatewayLink, parts: LinkTaskParts, persisted: () => void): SyncSession {
  const { options, flags, keys } = parts;
  const { log, now, random, timings } = options;
  return new SyncSession({
    link,
    keys,
    log,
    now,
    ageingClock: parts.ageingClock,
    freshness: parts.freshness,
    history: parts.history,
    aheadMs: timings.aheadMs,
    staleCheckMs: timings.staleCheckMs,
    staleBackoff: rareBackoff(options),
    state: () => flags.state!,
    commit: async (next) => {
      await parts.changeOver.commit(next, keys, persisted);
    },
    refuse: parts.refuse,
    synced: () => {
      parts.backups.synced();
      parts.synced();
    },
    touched: parts.touched,
    resyncDelayMs: () => spreadInterval(timings.resyncMs, random),
    random,
    backoff: retryBackoff(options),
  });
}
