/**
 * Registered facts of vehicles, for evaluating flags on their behalf: a read-only view of the vehicles subgraph's
 * table. docs/decisions/reading-another-subgraphs-table.md says why this is a view and not a call.
 */
import type { EvaluationContext } from '../../../core/model.ts';
import type { RegisteredFacts } from '../../../core/wire/vehicle-facts.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { prepared } from '../postgres/prepared-statements.ts';
import { sharedLoader, type SharedLoader } from '../postgres/shared-loader.ts';

/** Looks up registered facts by VIN. Resolves to null for a VIN that is not registered. */
export type FactsByVin = SharedLoader<string, RegisteredFacts | null>;

interface Row extends RegisteredFacts {
  readonly vin: string;
}

/** Creates the loader of registered facts: a whole fleet that asks at once costs few statements. */
export function registeredFacts(prisma: PrismaClient): FactsByVin {
  return sharedLoader(
    async (vins) => {
      const rows = await prisma.$queryRaw<Row[]>`${prepared('vehicle_facts')}
        SELECT vin, model, sw_version AS "swVersion", region FROM vehicles WHERE vin = ANY(${[...vins]}::text[])`;
      return new Map(rows.map(({ vin, ...facts }) => [vin, facts]));
    },
    (vin) => vin,
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
