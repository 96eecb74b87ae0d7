/**
 * The tasks of an agent while a link to the control plane lasts: it syncs, sends measurements and heartbeats, and
 * requests the registered facts.
 */
import { Backoff } from '../core/async/backoff.ts';
import type { CompleteAgentOptions } from './agent-options.ts';
import type { PresentFlags } from './evaluate/present-flags.ts';
import { FactsRefresher } from './facts/facts-refresher.ts';
import type { KnownFacts } from './facts/known-facts.ts';
import { verifyFacts } from './facts/verify-facts.ts';
import type { GatewayLink } from './link/gateway-link.ts';
import type { VehicleStore } from './store/vehicle-store.ts';
import type { SyncHistory } from './sync/sync-history.ts';
import { SyncSession } from './sync/sync-session.ts';
import { HeartbeatSender } from './telemetry/heartbeat/heartbeat-sender.ts';
import type { MetricQueue } from './telemetry/metrics/metric-queue.ts';
import type { MetricRecorder } from './telemetry/metrics/metric-recorder.ts';
import { MetricSender } from './telemetry/metrics/metric-sender.ts';
import type { AgeingClock } from './trust/ageing-clock.ts';
import type { Freshness } from './trust/freshness.ts';
import type { PinnedKeys } from './trust/pinned-keys.ts';
import type { Refusal, RefusalCounter } from './trust/refusals.ts';
import { AGENT_VERSION } from './version.ts';

/** The parts of an agent that outlive a link. */
export interface LinkTaskParts {
  readonly options: CompleteAgentOptions;
  /** The flags; they have a state before the first link. */
  readonly flags: PresentFlags;
  readonly keys: PinnedKeys;
  readonly store: VehicleStore;
  readonly queue: MetricQueue;
  readonly recorder: MetricRecorder;
  readonly facts: KnownFacts;
  readonly ageingClock: AgeingClock;
  readonly freshness: Freshness;
  readonly history: SyncHistory;
  readonly refusals: RefusalCounter;
  /** Counts and logs refused data. */
  readonly refuse: (refusal: Refusal) => void;
  /** Called after each sync. */
  readonly synced: () => void;
  /** Called with whether the vehicle is in touch, each time that this may have changed. */
  readonly touched: (inTouch: boolean) => void;
}

/** Makes a backoff for requests that must stay rare. */
export function rareBackoff({ timings, random }: CompleteAgentOptions): Backoff {
  return new Backoff({ baseMs: timings.rareBackoffMs, capMs: timings.rareBackoffCapMs, random });
}

/** Runs all tasks until the link ends. */
export async function runLinkTasks(link: GatewayLink, parts: LinkTaskParts): Promise<void> {
  const { options, flags, keys, queue, recorder, store } = parts;
  const { log, random, timings } = options;
  const sender = new MetricSender({
    link,
    queue,
    flush: () => recorder.flush(),
    save: () => store.saveQueue(),
    sendDelay: () => timings.metricsIntervalMs * (1 + random() / 10),
    backoff: new Backoff({ baseMs: timings.backoffMs, capMs: timings.backoffCapMs, random }),
    random,
    log,
  });
  const heartbeat = heartbeatSender(link, parts, (jws, askedAtMs) => session.prove(jws, askedAtMs));
  const session = syncSession(link, parts, () => heartbeat.persisted());
  const facts = new FactsRefresher({
    link,
    urgent: () => parts.facts.unconfirmed,
    verify: (jws, nonce) => verifyFacts(jws, flags.state!.identity.vin, nonce, keys),
    learn: (registered) => flags.learn(registered),
    refuse: parts.refuse,
    intervalMs: () => timings.resyncMs * (1 + random() / 10),
    spreadMs: timings.heartbeatSpreadMs,
    random,
    log,
  });
  await Promise.all([session.run(), sender.run(), heartbeat.run(), facts.run()]);
}

function heartbeatSender(
  link: GatewayLink,
  { options, flags, store, ageingClock, refusals }: LinkTaskParts,
  proof: (jws: string, askedAtMs: number) => void,
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
      };
    },
    environment: flags.state!.identity.environment,
    proof,
    intervalMs: timings.heartbeatMs,
    spreadMs: timings.heartbeatSpreadMs,
    random,
    log,
  });
}

/** @param persisted called when a state is on disk */
function syncSession(link: GatewayLink, parts: LinkTaskParts, persisted: () => void): SyncSession {
  const { options, flags, keys, store } = parts;
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
      await store.save(next, keys);
      persisted();
      flags.replace(next);
    },
    refuse: parts.refuse,
    synced: parts.synced,
    touched: parts.touched,
    resyncDelay: () => timings.resyncMs * (1 + random() / 10),
    backoff: new Backoff({ baseMs: timings.backoffMs, capMs: timings.backoffCapMs, random }),
  });
}
