/**
 * The evidence that an experiment has gathered, in the table experiment_evidence. Rows are mapped to domain types here.
 */
import { isObject } from '../../../../core/json/json-value.ts';
import type { MetricDefinition } from '../../definitions/metric-definition.ts';
import { rowCount } from '../../../shared/postgres/rows.ts';
import type { Reader, Transaction } from '../../../shared/postgres/transaction.ts';
import type { Calibration } from '../../settled/calibration.ts';
import { NO_EVIDENCE, type EffectEvidence } from '../../statistics/evidence/effect-evidence.ts';
import { columnsOf, type KeptRow } from './kept-evidence.ts';

/** The draw of vehicles of a percentage_rollout rule. */
export interface VehicleDraw {
  readonly salt: string;
  /** The buckets below it have the treatment. */
  readonly threshold: number;
}

/** The evidence that an experiment has gathered since its start, and what was fixed there. */
export interface ExperimentState extends VehicleDraw {
  /** The primary metric's definition at the start. */
  readonly definition: MetricDefinition | null;
  /** The calibration; null until there are vehicles enough to fix the metric's range. It stays from then on. */
  readonly calibration: Calibration | null;
  /** The evidence of all looks together. */
  readonly evidence: EffectEvidence;
  /** The greatest logarithm of the evidence of a sample-ratio mismatch so far; absent before the first look. */
  readonly split?: number;
}

/** Says whether a stored value is a state. Only this subgraph writes it, so its inner members are not checked. */
function isState(stored: unknown): stored is ExperimentState {
  return (
    isObject(stored) &&
    typeof stored['salt'] === 'string' &&
    typeof stored['threshold'] === 'number' &&
    isObject(stored['evidence'])
  );
}

function readState(id: string, stored: unknown): ExperimentState {
  if (!isState(stored)) throw new Error(`experiment_evidence.state of the experiment ${id} holds no state`);
  return stored;
}

/** Writes the state of an experiment that starts. */
export async function beginState(
  tx: Transaction,
  experimentId: string,
  fixed: VehicleDraw & Pick<ExperimentState, 'definition'>,
): Promise<void> {
  const { salt, threshold, definition } = fixed;
  const begun: ExperimentState = { salt, threshold, definition, calibration: null, evidence: NO_EVIDENCE };
  await tx.experimentEvidence.create({ data: { experimentId, ...columnsOf(begun) } });
}

/** Reads the state of an experiment that has started. */
export async function findState(db: Reader, experimentId: string): Promise<ExperimentState> {
  const row = await db.experimentEvidence.findUniqueOrThrow({ where: { experimentId } });
  return readState(experimentId, row.state);
}

/** Gives the row in which the state of an experiment is kept. */
export const keptOf = (experimentId: string): KeptRow<ExperimentState> => ({
  read: (db) => findState(db, experimentId),
  lock: (tx) => rowCount(tx)`SELECT FROM experiment_evidence WHERE experiment_id = ${experimentId}::uuid FOR UPDATE`,
  write: (tx, data) => tx.experimentEvidence.update({ where: { experimentId }, data }),
  rangeOf: ({ calibration }) => calibration,
});
