/** The experiments subgraph's table. Rows go in and out as domain types. */
import type { Prisma, PrismaClient } from '../../prisma/generated/client.ts';
import type { Experiment, ExperimentPlan, ExperimentStatus } from './experiment.ts';

export type Transaction = Prisma.TransactionClient;
type Reader = PrismaClient | Transaction;

const NEWEST_FIRST = [{ createdAt: 'desc' }, { id: 'desc' }] as const satisfies Prisma.ExperimentOrderByWithRelationInput[];

export interface ExperimentSearch {
  readonly flagId?: string | undefined;
  readonly status?: ExperimentStatus | null | undefined;
}

function toExperiment(row: Prisma.ExperimentGetPayload<object>): Experiment {
  return {
    id: row.id,
    flagId: row.flagId,
    name: row.name,
    description: row.description,
    status: row.status as ExperimentStatus,
    startDate: row.startDate,
    endDate: row.endDate,
    sampleSize: row.sampleSize,
    confidenceLevel: row.confidenceLevel.toNumber(),
    primaryMetric: row.primaryMetric,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}

const where = ({ flagId, status }: ExperimentSearch): Prisma.ExperimentWhereInput => ({ ...(flagId !== undefined && { flagId }), ...(status && { status }) });

export async function insertDraft(tx: Transaction, flagId: string, plan: ExperimentPlan): Promise<Experiment> {
  return toExperiment(await tx.experiment.create({ data: { ...plan, flagId, status: 'draft' } }));
}

/** In no particular order; what is not there is left out. */
export async function findExperiments(db: Reader, ids: readonly string[]): Promise<Experiment[]> {
  return (await db.experiment.findMany({ where: { id: { in: [...ids] } } })).map(toExperiment);
}

/** All experiments of some flags, newest first. */
export async function findExperimentsOfFlags(db: Reader, flagIds: readonly string[]): Promise<Experiment[]> {
  return (await db.experiment.findMany({ where: { flagId: { in: [...flagIds] } }, orderBy: NEWEST_FIRST })).map(toExperiment);
}

/** A page, newest first, after the experiment with id `after`. */
export async function searchExperiments(db: Reader, search: ExperimentSearch, first: number, after: string | null): Promise<{ experiments: Experiment[]; more: boolean }> {
  const rows = await db.experiment.findMany({
    where: where(search),
    orderBy: NEWEST_FIRST,
    ...(after !== null && { cursor: { id: after }, skip: 1 }),
    take: first + 1,
  });
  return { experiments: rows.slice(0, first).map(toExperiment), more: rows.length > first };
}

export function countExperiments(db: Reader, search: ExperimentSearch): Promise<number> {
  return db.experiment.count({ where: where(search) });
}
