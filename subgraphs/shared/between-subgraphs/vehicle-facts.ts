/**
 * What is registered of a vehicle, for evaluating on its behalf: a read-only view of the vehicles subgraph's table.
 * Why a view and not a call: docs/decisions/reading-another-subgraphs-table.md.
 */
import DataLoader from 'dataloader';
import type { EvaluationContext } from '../../../core/model.ts';
import type { RegisteredFacts } from '../../../core/wire/vehicle-facts.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';

/** The most vehicles of one statement. */
const MAX_VINS = 1_000;

/** The registered facts by VIN; null where nothing is registered. */
export type FactsByVin = Pick<DataLoader<string, RegisteredFacts | null>, 'load'>;

/** Calls `send` in a turn of its own once `underWay`, which never rejects, is over. */
function sendAfter(underWay: PromiseLike<unknown>, send: () => void): void {
  const next = () => setImmediate(send);
  underWay.then(next, next);
}

/**
 * One statement at a time: what is asked while one is under way goes with the next, so a fleet that asks at once costs
 * few.
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
 * `context`, whose VIN is one if there is any, with the registered model, version and region where it gives none. An
 * unknown VIN leaves it as it is.
 */
export async function withRegisteredFacts(facts: FactsByVin, context: EvaluationContext): Promise<EvaluationContext> {
  if (!context.vin) return context;
  // Nothing is left to look up; so it is answered while the database is away, too.
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
