/**
 * Registered facts of vehicles, for evaluating flags on their behalf and for recording exposures: a read-only view of
 * the vehicles subgraph's table. docs/decisions/data/reading-another-subgraphs-table.md says why this is a view and not
 * a call.
 */
import { is } from '../../../core/json/shape.ts';
import type { EvaluationContext } from '../../../core/model.ts';
import type { RegisteredFacts } from '../../../core/wire/vehicle/vehicle-facts.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { readPrepared } from '../postgres/prepared-statements.ts';
import { sharedLoader, type SharedLoader } from '../postgres/shared-loader.ts';

/** Looks up registered facts by VIN. Resolves to null for a VIN that is not registered. */
export type FactsByVin = SharedLoader<string, RegisteredFacts | null>;

const ROW = { vin: is.string, model: is.string, swVersion: is.string, region: is.string };

const FACTS = 'SELECT vin, model, sw_version AS "swVersion", region FROM vehicles WHERE vin = ANY($1::text[])';

/** Reads registered facts by VIN, in one statement. VINs that are not registered are left out. */
export async function findRegisteredFacts(
  prisma: PrismaClient,
  vins: readonly string[],
): Promise<Map<string, RegisteredFacts>> {
  const rows = await readPrepared(prisma, ROW, 'vehicle_facts', FACTS, [vins]);
  return new Map(rows.map(({ vin, ...facts }) => [vin, facts]));
}

/** Creates the loader of registered facts: a whole fleet that asks at once costs few statements. */
export function registeredFacts(prisma: PrismaClient): FactsByVin {
  return sharedLoader(
    (vins) => findRegisteredFacts(prisma, vins),
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
