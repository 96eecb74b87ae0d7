/** The experiments subgraph's table. Rows are mapped to domain types here. */
import type { Prisma } from '../../../prisma/generated/client.ts';
import { newestFirst, onwards } from '../../shared/subgraph/page-query.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import { pageOf, type Page } from '../../../core/wire/api/pagination.ts';
import {
  EXPERIMENT_STATUSES,
  type ComputedResults,
  type Experiment,
  type ExperimentPlan,
  type ExperimentStatus,
} from './experiment.ts';
import type { DrawEpoch } from '../settled/compared-vehicles.ts';
import { VARIANTS, type Analysis, type Variant } from '../statistics/analyse.ts';
import type { FurtherResults } from './looks/further-looks.ts';
import { furtherMetricsContent, storedFurtherMetrics } from './further-metrics.ts';
import { jsonColumn, oneOf, oneOfOrNull, storedJson } from '../../shared/postgres/column-values.ts';
import { isObject, parseJson } from '../../../core/json/json-value.ts';
import { rowCount } from '../../shared/postgres/rows.ts';

const NEWEST_FIRST = [
  { createdAt: 'desc' },
  { id: 'desc' },
] as const satisfies Prisma.ExperimentOrderByWithRelationInput[];

/** The filters of a list of experiments, with the flag's id. */
export interface ExperimentSearch {
  readonly flagId?: string | undefined;
  readonly status?: ExperimentStatus | null | undefined;
}

/** A change of a flag that moved vehicles between the arms of its running experiment. */
export interface Disturbance {
  readonly experimentId: string;
  readonly at: Date;
  /** The audit log's action. */
  readonly action: string;
  /** The id of the person who made the change; null where an API key did. */
  readonly userId: string | null;
  /** The flag that was changed, where the experiment's own requires or excludes it; null: the experiment's own. */
  readonly flagId: string | null;
}

/** The columns of an experiment beside its plan. */
export interface Progress {
  readonly status: ExperimentStatus;
  readonly startDate?: Date;
  readonly endDate?: Date;
  readonly treatmentShare?: number;
  readonly cancelReason?: string;
  readonly winnerVariant?: Variant | null;
  readonly results?: ComputedResults;
}

/** The precision of the columns NUMERIC(10,8) and NUMERIC(8,4). `results` contains the numbers in full. */
const P_VALUE_DECIMALS = 8;
/** A small p-value is stored as the least that the column holds: 0 would claim certainty. */
const LEAST_P_VALUE = 10 ** -P_VALUE_DECIMALS;
const MAX_IMPROVEMENT = 9_999.9999;

const readStatus = oneOf('experiments.status', EXPERIMENT_STATUSES);
const readWinner = oneOfOrNull('experiments.winner_variant', VARIANTS);

interface StoredResults {
  readonly further?: FurtherResults | null;
  readonly analysis: Analysis;
  readonly computedAt: string;
  readonly countedUntil?: string | null;
  readonly forcedReason?: string | null;
}

/**
 * Checks whether a value has the form that `resultColumns` writes. The analysis is not checked further, because nothing
 * else writes it.
 */
function isStoredResults(stored: unknown): stored is StoredResults {
  return isObject(stored) && isObject(stored['analysis']) && typeof stored['computedAt'] === 'string';
}

/**
 * Gives an analysis that an earlier version has stored in the form of this version. In the old form `pValue` and
 * `confidenceInterval` were those of Welch's test, in this one they are the sequential test's.
 */
function upgraded(analysis: Analysis): Analysis {
  if (Object.hasOwn(analysis, 'fixedHorizonPValue') || analysis.decidedBy === 'fixed-horizon') return analysis;
  const { sequentialPValue: pValue, sequentialConfidenceInterval: confidenceInterval } = analysis;
  return { ...analysis, pValue, confidenceInterval, differenceInterval: null };
}

function readResults(stored: Prisma.JsonValue): ComputedResults | null {
  if (stored === null) return null;
  if (!isStoredResults(stored)) throw new Error('experiments.results must contain "analysis" and "computedAt"');
  const { analysis, further = null, computedAt, countedUntil = null, forcedReason = null } = stored;
  return {
    analysis: upgraded(analysis),
    further,
    computedAt: new Date(computedAt),
    countedUntil: countedUntil === null ? null : new Date(countedUntil),
    forcedReason,
  };
}

function toExperiment(row: Prisma.ExperimentGetPayload<object>): Experiment {
  return {
    id: row.id,
    flagId: row.flagId,
    name: row.name,
    description: row.description,
    status: readStatus(row.status),
    startDate: row.startDate,
    endDate: row.endDate,
    sampleSize: row.sampleSize,
    confidenceLevel: row.confidenceLevel.toNumber(),
    primaryMetric: row.primaryMetric,
    ...storedFurtherMetrics(storedJson(row.secondaryMetrics), storedJson(row.guardrails)),
    treatmentShare: row.treatmentShare?.toNumber() ?? null,
    winnerVariant: readWinner(row.winnerVariant),
    results: readResults(row.results),
    cancelReason: row.cancelReason,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}

const where = ({ flagId, status }: ExperimentSearch): Prisma.ExperimentWhereInput => ({
  ...(flagId !== undefined && { flagId }),
  ...(status && { status }),
});

const planColumns = (plan: ExperimentPlan) => ({ ...plan, ...furtherMetricsContent(plan) });

/** Inserts an experiment as a draft. */
export async function insertDraft(tx: Transaction, flagId: string, plan: ExperimentPlan): Promise<Experiment> {
  return toExperiment(await tx.experiment.create({ data: { ...planColumns(plan), flagId, status: 'draft' } }));
}

/**
 * Locks the rows of the experiment and of its flag until the transaction ends. Steps of one experiment run one after
 * another, and the flag does not change meanwhile.
 */
export async function lockExperiment(tx: Transaction, id: string): Promise<Experiment | null> {
  // The experiment is not locked FOR UPDATE: a change of the flag, which holds the flag's lock, must be able to
  // reference it.
  await rowCount(tx)`
    SELECT e.id FROM experiments e JOIN flags f ON f.id = e.flag_id WHERE e.id = ${id}::uuid FOR UPDATE OF f FOR NO KEY UPDATE OF e`;
  const row = await tx.experiment.findUnique({ where: { id } });
  return row === null ? null : toExperiment(row);
}

/** Writes the plan of a draft. */
export async function savePlan(tx: Transaction, id: string, plan: ExperimentPlan): Promise<Experiment> {
  return toExperiment(await tx.experiment.update({ where: { id }, data: planColumns(plan) }));
}

/** Writes an experiment's status and results. */
export async function saveProgress(
  tx: Transaction,
  id: string,
  { results, ...progress }: Progress,
): Promise<Experiment> {
  return toExperiment(
    await tx.experiment.update({ where: { id }, data: { ...progress, ...(results && resultColumns(results)) } }),
  );
}

function resultColumns({ analysis, ...rest }: ComputedResults): Prisma.ExperimentUpdateInput {
  const { improvementPercent, pValue } = analysis;
  return {
    pValue: pValue === null ? null : Math.max(LEAST_P_VALUE, pValue).toFixed(P_VALUE_DECIMALS),
    improvementPercent:
      improvementPercent === null
        ? null
        : Math.max(-MAX_IMPROVEMENT, Math.min(MAX_IMPROVEMENT, improvementPercent)).toFixed(4),
    results: jsonColumn(parseJson(JSON.stringify({ analysis, ...rest }))),
  };
}

/** Finds experiments, in no particular order; unknown ids are left out. */
export async function findExperiments(db: Reader, ids: readonly string[]): Promise<Experiment[]> {
  return (await db.experiment.findMany({ where: { id: { in: [...ids] } } })).map(toExperiment);
}

/** Finds all experiments of some flags, newest first. */
export async function findExperimentsOfFlags(db: Reader, flagIds: readonly string[]): Promise<Experiment[]> {
  return (await db.experiment.findMany({ where: { flagId: { in: [...flagIds] } }, orderBy: NEWEST_FIRST })).map(
    toExperiment,
  );
}

/** Finds a page of experiments, newest first; its cursor is an experiment's id. */
export async function searchExperiments(
  db: Reader,
  search: ExperimentSearch,
  page: Page,
): Promise<{ experiments: Experiment[]; more: boolean }> {
  const rows = await db.experiment.findMany({
    where: where(search),
    orderBy: newestFirst(page),
    ...onwards(page),
  });
  const { items, more } = pageOf(rows, page);
  return { experiments: items.map(toExperiment), more };
}

/** Counts the matching experiments. */
export function countExperiments(db: Reader, search: ExperimentSearch): Promise<number> {
  return db.experiment.count({ where: where(search) });
}

/** Finds the draws of vehicles that changes of the flag left while an experiment ran, oldest first. */
export async function findDraws(db: Reader, experimentId: string): Promise<DrawEpoch[]> {
  const rows = await db.experimentDisturbance.findMany({
    where: { experimentId },
    orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
  });
  return rows.flatMap(({ salt, threshold, createdAt }) =>
    salt === null || threshold === null ? [] : [{ salt, threshold, since: createdAt }],
  );
}

/** Finds the disturbances of some experiments, oldest first. The flags subgraph writes them. */
export async function findDisturbances(db: Reader, experimentIds: readonly string[]): Promise<Disturbance[]> {
  const rows = await db.experimentDisturbance.findMany({
    where: { experimentId: { in: [...experimentIds] } },
    orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
  });
  return rows.map(({ experimentId, action, userId, flagId, createdAt }) => ({
    ...{ experimentId, action, userId, flagId, at: createdAt },
  }));
}
