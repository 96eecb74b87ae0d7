/**
 * Registered facts of vehicles, for evaluating flags on their behalf: a read-only view of the vehicles subgraph's
 * table. docs/decisions/reading-another-subgraphs-table.md says why this is a view and not a call.
 */
import DataLoader from 'dataloader';
import type { EvaluationContext } from '../../../core/model.ts';
import type { RegisteredFacts } from '../../../core/wire/vehicle-facts.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';

/** The most VINs that one SQL statement looks up. */
const MAX_VINS = 1_000;

/** Looks up registered facts by VIN. Resolves to null for a VIN that is not registered. */
export type FactsByVin = Pick<DataLoader<string, RegisteredFacts | null>, 'load'>;

/** Calls `send` in a later turn of the event loop, after `underWay` has settled. `underWay` must never reject. */
function sendAfter(underWay: PromiseLike<unknown>, send: () => void): void {
  const next = () => setImmediate(send);
  underWay.then(next, next);
}

/**
 * Creates a loader of registered facts that runs one SQL statement at a time. Lookups made while a statement runs share
 * the next one, so that a whole fleet that asks at once costs few statements.
 */
export function registeredFacts(prisma: PrismaClient): FactsByVin {
  let underWay: PromiseLike<unknown> = Promise.resolve();
  return new DataLoader<string, RegisteredFacts | null>(
    async (vins) => {
      const finding = prisma.vehicle.findMany({
        where: { vin: { in: [...vins] } },
        select: { vin: true, model: true, swVersion: true, region: true },
      });
      underWay = finding.catch(() => undefined);
      const byVin = new Map((await finding).map(({ vin, ...facts }) => [vin, facts]));
      return vins.map((vin) => byVin.get(vin) ?? null);
    },
    { cache: false, maxBatchSize: MAX_VINS, batchScheduleFn: (send) => sendAfter(underWay, send) },
  );
}

/**
 * Completes `context` with the registered model, version and region where it gives none. Its VIN, if it has one, must
 * be valid. A context whose VIN is unknown stays as it is.
 */
export async function withRegisteredFacts(facts: FactsByVin, context: EvaluationContext): Promise<EvaluationContext> {
  if (!context.vin) return context;
  // Skipping the lookup also answers such calls while the database is down.
  if (context.model != null && context.swVersion != null && context.region != null) return context;
  const vehicle = await facts.load(context.vin);
  if (vehicle === null) return context;
  return {
    ...context,
    model: context.model ?? vehicle.model,
    swVersion: context.swVersion ?? vehicle.swVersion,
    region: context.region ?? vehicle.region,
  };
}
