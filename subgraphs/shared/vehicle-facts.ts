/**
 * What is registered of a vehicle, for evaluating on its behalf: a read-only view of the vehicles subgraph's table.
 * Why a view and not a call: docs/decisions/reading-another-subgraphs-table.md.
 */
import { VIN_PATTERN, type EvaluationContext } from '../../core/model.ts';
import type { PrismaClient } from '../../prisma/generated/client.ts';

/** `context` with the registered model, version and region where it gives none. An unknown VIN leaves it as it is. */
export async function withRegisteredFacts(prisma: PrismaClient, context: EvaluationContext): Promise<EvaluationContext> {
  if (!context.vin || !VIN_PATTERN.test(context.vin)) return context;
  const vehicle = await prisma.vehicle.findUnique({ where: { vin: context.vin }, select: { model: true, swVersion: true, region: true } });
  if (vehicle === null) return context;
  return {
    ...context,
    model: context.model ?? vehicle.model,
    swVersion: context.swVersion ?? vehicle.swVersion,
    region: context.region ?? vehicle.region,
  };
}
