/** Starts one subgraph with its dependencies, in this process or in a process of its own. */
import type { Logger } from 'pino';
import type { RateLimiter } from '../core/access/rate-limiter.ts';
import type { SubgraphName } from '../core/wire/subgraph.ts';
import type { VehicleTokens } from '../core/credentials/vehicle-token.ts';
import { startAudit } from '../subgraphs/audit/subgraph.ts';
import { startExperiments } from '../subgraphs/experiments/subgraph.ts';
import { databaseClock } from '../subgraphs/flags/changes/database-clock.ts';
import { planEnding } from '../subgraphs/flags/changes/end-plans.ts';
import { RolloutTransitions } from '../subgraphs/flags/rollouts/rollout-transitions.ts';
import type { Signer } from '../subgraphs/flags/signing/signing.ts';
import { startFlags } from '../subgraphs/flags/subgraph.ts';
import type { Bus } from '../subgraphs/shared/feeds/bus.ts';
import { requireAuditPartition } from '../subgraphs/shared/audit/audit-partitions.ts';
import type { Database } from '../subgraphs/shared/postgres/database.ts';
import type { KeyValueStore } from '../subgraphs/shared/stores/key-value-store.ts';
import type { MetricsStore } from '../subgraphs/shared/stores/metrics-store.ts';
import type { Subgraph } from '../subgraphs/shared/subgraph/subgraph.ts';
import { startVehicles } from '../subgraphs/vehicles/subgraph.ts';
import type { Lifecycle } from './lifecycle.ts';
import { operationCheck } from './operation-check.ts';
import { answers } from './stores.ts';

/** The dependencies of all subgraphs; what only one of them needs is created when it starts. */
export interface Parts {
  readonly database: Database;
  readonly bus: Bus;
  readonly store: KeyValueStore;
  readonly limiter: RateLimiter;
  readonly vehicleTokens: VehicleTokens;
  readonly logger: Logger;
  readonly signer: () => Promise<Signer>;
  readonly metrics: () => Promise<MetricsStore>;
  /** Seconds that a vehicle may be without a connection before it is offline; 30 by default. */
  readonly presenceGraceSeconds?: number;
}

/** A running subgraph. */
export interface StartedSubgraph {
  readonly subgraph: Subgraph;
  /** Resolves to whether it can answer: whether the stores that it cannot do without answer. */
  readonly ready: () => Promise<boolean>;
}

/** Starts the subgraph `name`; it stops with `lifecycle`. */
export async function startSubgraph(name: SubgraphName, parts: Parts, lifecycle: Lifecycle): Promise<StartedSubgraph> {
  const { database, bus, store, limiter, vehicleTokens } = parts;
  const { prisma } = database;
  const logger = parts.logger.child({ subgraph: name });
  // The metrics store is not checked: without it everything except metrics and results still works, and a load balancer
  // that goes by readiness would leave no gateway at all.
  const ready = () => answers(() => requireAuditPartition(prisma));
  let started: { subgraph: Subgraph; close(): Promise<void> };
  switch (name) {
    case 'flags':
      started = await startFlags({
        prisma,
        lanes: (lane) => database.lane(lane),
        bus,
        store,
        signer: await parts.signer(),
        logger,
      });
      break;
    case 'vehicles':
      started = await startVehicles({
        prisma,
        bus,
        tokens: vehicleTokens,
        logger,
        ...(parts.presenceGraceSeconds !== undefined && { presenceGraceSeconds: parts.presenceGraceSeconds }),
      });
      break;
    case 'experiments':
      started = await startExperiments({ prisma, metrics: await parts.metrics(), logger });
      break;
    case 'audit':
      started = await startAudit({
        prisma,
        sessions: store,
        bus,
        limiter,
        checkOperation: operationCheck(),
        endPlans: planEnding(new RolloutTransitions(databaseClock)),
        logger,
      });
      break;
  }
  lifecycle.onClose(() => started.close());
  return { subgraph: started.subgraph, ready };
}
