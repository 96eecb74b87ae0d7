/** The models that have a partition of their own: those that a scope has ever named in the environment. */
import type { Environment } from '../../../core/model.ts';
import { OTHER_MODELS } from '../../../core/partitions/partition.ts';
import { is } from '../../../core/json/shape.ts';
import { rowCount, rowsOf } from '../../shared/postgres/rows.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';

/** Gives an environment's models that have a partition of their own, in the order of their names. */
async function scopedModels(db: Reader, environment: Environment): Promise<string[]> {
  const rows = await rowsOf(db, { model: is.string })`
    SELECT model FROM scoped_models WHERE environment = ${environment} ORDER BY model COLLATE "C"`;
  return rows.map(({ model }) => model);
}

/**
 * Gives models a partition of their own where they have none, and then the names of all partitions. The caller holds
 * the environment's lock.
 */
export async function nameModels(
  tx: Transaction,
  environment: Environment,
  models: ReadonlySet<string>,
): Promise<string[]> {
  if (models.size > 0)
    await rowCount(tx)`
      INSERT INTO scoped_models (environment, model) SELECT ${environment}, unnest(${[...models]}::text[])
      ON CONFLICT DO NOTHING`;
  return [OTHER_MODELS, ...(await scopedModels(tx, environment))];
}
