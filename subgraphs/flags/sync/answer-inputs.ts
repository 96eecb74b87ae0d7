/**
 * Reads what decides whether answers still hold that gateways have computed before. Registered facts are another
 * subgraph's: docs/decisions/reading-another-subgraphs-table.md.
 */
import { badInput } from '../../../core/errors.ts';
import { FLAG_KEY_PATTERN, VIN_PATTERN } from '../../../core/model.ts';
import { MAX_INPUT_NAMES, type AnswerInputsJson } from '../../../core/wire/answer-inputs.ts';
import { prepared } from '../../shared/postgres/prepared-statements.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';

/** All that name something: PostgreSQL does not accept every text. */
function named(names: readonly string[], pattern: RegExp, field: string): string[] {
  if (names.length > MAX_INPUT_NAMES)
    throw badInput(field, `At most ${MAX_INPUT_NAMES} names may be asked for at once.`);
  return names.filter((name) => pattern.test(name));
}

/**
 * Reads the states of `vins` and `keys`, and the positions of all environments. One statement, and so one database
 * snapshot: an answer that was right for all of them together is right again when all are the same.
 *
 * @throws BAD_USER_INPUT for more than 1,000 names
 */
export async function readInputs(
  db: Reader,
  vins: readonly string[],
  keys: readonly string[],
): Promise<AnswerInputsJson> {
  const vehicles = named(vins, VIN_PATTERN, 'vins');
  const flags = named(keys, FLAG_KEY_PATTERN, 'keys');
  const [row] = await db.$queryRaw<AnswerInputsJson[]>`${prepared('answer_inputs')}
    SELECT floor(extract(epoch FROM statement_timestamp()))::float8 AS second,
      (SELECT json_object_agg(name, revision || '@' || extract(epoch FROM updated_at)) FROM environments) AS environments,
      (SELECT COALESCE(json_object_agg(vin, json_build_array(model, sw_version, region)::text), '{}') FROM vehicles WHERE vin = ANY(${vehicles}::text[])) AS vehicles,
      (SELECT COALESCE(json_object_agg(key, id || CASE WHEN draft THEN ' draft' ELSE '' END), '{}') FROM flags WHERE key = ANY(${flags}::text[])) AS flags`;
  if (row === undefined) throw new Error('The statement gives one row, whatever the tables hold.');
  return row;
}
