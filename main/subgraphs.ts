/** Starts one subgraph with its dependencies, in this process or in a process of its own. */
import type { Logger } from 'pino';
import type { RateLimiter } from '../core/access/rate-limiter.ts';
import { createIdentityTokens } from '../core/credentials/identity-token.ts';
import { bySubgraph, type SubgraphName } from '../core/wire/subgraph/subgraph.ts';
import type { VehicleTokens } from '../core/credentials/vehicle-token.ts';
import { startAudit } from '../subgraphs/audit/subgraph.ts';
import type { WebhookOptions } from '../subgraphs/audit/webhooks/webhooks.ts';
import { startExperiments } from '../subgraphs/experiments/subgraph.ts';
import { databaseClock } from '../subgraphs/flags/rollouts/database-clock.ts';
import { planEnding } from '../subgraphs/flags/changes/requests/end-plans.ts';
import { RolloutTransitions } from '../subgraphs/flags/rollouts/rollout-transitions.ts';
import type { Signer } from '../subgraphs/flags/signing/signing.ts';
import { startFlags } from '../subgraphs/flags/subgraph.ts';
import type { Bus } from '../subgraphs/shared/feeds/bus.ts';
import { requireAuditPartition } from '../subgraphs/shared/audit/audit-partitions.ts';
import type { SubgraphMetrics } from '../subgraphs/shared/monitoring/subgraph-metrics.ts';
import type { Database } from '../subgraphs/shared/postgres/database.ts';
import type { ReplicaReads } from '../subgraphs/shared/postgres/replica-reads.ts';
import type { KeyValueStore } from '../subgraphs/shared/stores/key-value-store.ts';
import type { MetricsStore } from '../subgraphs/shared/stores/metrics-store.ts';
import { createReplayGuard } from '../subgraphs/shared/subgraph/replay-guard.ts';
import { serveSubgraph } from '../subgraphs/shared/subgraph/subgraph-process.ts';
import type { Subgraph } from '../subgraphs/shared/subgraph/subgraph.ts';
import { startVehicles } from '../subgraphs/vehicles/subgraph.ts';
import type { Lifecycle } from './process/lifecycle.ts';
import { whileWaiting } from './process/waiting.ts';
import { operationCheck } from './operation-check.ts';
import { answers } from './stores/cache.ts';

/** The dependencies of all subgraphs; what only one of them needs is created when it starts. */
export interface Parts {
  readonly database: Database;
  /** The place where what may lag is read; by default the primary. */
  readonly reads?: ReplicaReads;
  readonly bus: Bus;
  readonly store: KeyValueStore;
  readonly limiter: RateLimiter;
  readonly vehicleTokens: VehicleTokens;
  readonly logger: Logger;
  /** Counts what the subgraphs do. */
  readonly monitoring?: SubgraphMetrics;
  readonly signer: () => Promise<Signer>;
  readonly metrics: () => Promise<MetricsStore>;
  readonly webhooks: WebhookOptions;
  /** Seconds that a vehicle may be without a connection before it is offline; 30 by default. */
  readonly presenceGraceSeconds?: number;
}

/** A running subgraph. */
export interface StartedSubgraph {
  readonly subgraph: Subgraph;
  /** Resolves to whether it can answer: whether the stores that it cannot do without answer. */
  readonly ready: () => Promise<boolean>;
}

/** The address at which subgraphs of this process listen for gateways of this machine. */
const LOOPBACK = '127.0.0.1';

/** Starts the subgraph `name`; it stops with `lifecycle`. */
export function startSubgraph(name: SubgraphName, parts: Parts, lifecycle: Lifecycle): Promise<StartedSubgraph> {
  return whileWaiting(parts.logger, `the first reads of the ${name} subgraph`, () => start(name, parts, lifecycle));
}

async function start(name: SubgraphName, parts: Parts, lifecycle: Lifecycle): Promise<StartedSubgraph> {
  const { database, bus, store, limiter, vehicleTokens, monitoring } = parts;
  const { prisma } = database;
  const reads = parts.reads === undefined ? {} : { reads: parts.reads };
  const logger = parts.logger.child({ subgraph: name });
  // The metrics store is not checked: without it everything except metrics and results still works, and a load balancer
  // that goes by readiness would leave no gateway at all.
  const ready = async () => !lifecycle.isEnding && (await answers(() => requireAuditPartition(prisma)));
  let started: { subgraph: Subgraph; close(): Promise<void> };
  switch (name) {
    case 'flags':
      started = await startFlags({
        prisma,
        ...reads,
        lanes: (lane) => database.lane(lane),
        bus,
        store,
        signer: await parts.signer(),
        logger,
        metrics: monitoring,
      });
      break;
    case 'vehicles':
      started = await startVehicles({
        prisma,
        ...reads,
        bus,
        tokens: vehicleTokens,
        logger,
        metrics: monitoring,
        ...(parts.presenceGraceSeconds !== undefined && { presenceGraceSeconds: parts.presenceGraceSeconds }),
      });
      break;
    case 'experiments':
      started = await startExperiments({ prisma, ...reads, metrics: await parts.metrics(), logger, monitoring });
      break;
    case 'audit':
      started = await startAudit({
        prisma,
        ...reads,
        sessions: store,
        bus,
        limiter,
        checkOperation: operationCheck(),
        endPlans: planEnding(new RolloutTransitions(databaseClock)),
        webhooks: parts.webhooks,
        logger,
        metrics: monitoring,
      });
      break;
  }
  lifecycle.onClose(() => started.close());
  return { subgraph: started.subgraph, ready };
}

/** The dependencies of subgraphs that gateways reach over HTTP. */
export interface ServedParts {
  /** The internal secret. */
  readonly secret: string;
  /** Remembers the identity tokens that were used. */
  readonly store: KeyValueStore;
  /** The public signing keys (RFC 7517). */
  readonly publicKeys: unknown;
}

/**
 * Serves subgraphs of this process to gateways in other processes of this machine. Resolves to the base URLs of each;
 * the servers close with `lifecycle`.
 */
export async function serveStarted(
  started: readonly StartedSubgraph[],
  { secret, store, publicKeys }: ServedParts,
  lifecycle: Lifecycle,
  logger: Logger,
): Promise<Readonly<Record<SubgraphName, readonly string[]>>> {
  const tokens = createIdentityTokens(secret);
  const urls = new Map<SubgraphName, string>();
  for (const { subgraph, ready } of started) {
    const { name } = subgraph;
    const replayGuard = createReplayGuard(name, store, logger);
    const server = await serveSubgraph({ subgraph, tokens, replayGuard, ready, host: LOOPBACK, port: 0, publicKeys });
    lifecycle.onClose(() => server.close());
    urls.set(name, `http://${LOOPBACK}:${server.port}`);
  }
  return bySubgraph((name) => [urls.get(name) ?? '']);
}
