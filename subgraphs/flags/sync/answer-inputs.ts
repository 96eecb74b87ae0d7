/**
 * Reads the states on which evaluations depend. A gateway compares them with those of an answer that it has kept, and
 * gives that answer again when they are the same. The table of vehicles belongs to another subgraph:
 * docs/decisions/data/reading-another-subgraphs-table.md.
 */
import { badInput } from '../../../core/errors.ts';
import { is } from '../../../core/json/shape.ts';
import { FLAG_KEY_PATTERN, VIN_PATTERN } from '../../../core/model.ts';
import { MAX_INPUT_NAMES, type AnswerInputsJson } from '../../../core/wire/subgraph/answer-inputs.ts';
import { readPrepared } from '../../shared/postgres/prepared-statements.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';

const KINDS = ['environments', 'vehicles', 'flags'] as const;
const ROW = { kind: is.oneOf(KINDS), name: is.string, state: is.string, second: is.number };

const SECOND = `floor(date_part('epoch', statement_timestamp())) AS second`;
const POSITIONS = `SELECT 'environments' AS kind, name, revision || '@' || date_part('epoch', updated_at) AS state, ${SECOND} FROM environments`;
const INPUTS = `${POSITIONS}
  UNION ALL SELECT 'vehicles', vin, json_build_array(model, sw_version, region)::text, 0 FROM vehicles WHERE vin = ANY($1::text[])
  UNION ALL SELECT 'flags', key, id || CASE WHEN draft THEN ' draft' ELSE '' END, 0 FROM flags WHERE key = ANY($2::text[])`;

/** Gives the names that can exist. The others are not sent to PostgreSQL, which does not accept every string. */
function possible(names: readonly string[], pattern: RegExp, field: string): string[] {
  if (names.length > MAX_INPUT_NAMES) throw badInput(field, `A request must have at most ${MAX_INPUT_NAMES} names.`);
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
  const vehicles = possible(vins, VIN_PATTERN, 'vins');
  const flags = possible(keys, FLAG_KEY_PATTERN, 'keys');
  const rows =
    vehicles.length === 0 && flags.length === 0
      ? await readPrepared(db, ROW, 'answer_positions', POSITIONS, [])
      : await readPrepared(db, ROW, 'answer_inputs', INPUTS, [vehicles, flags]);
  const position = rows.find(({ kind }) => kind === 'environments');
  if (position === undefined) throw new Error('The table environments is empty; its rows come with the migrations.');
  const of = (wanted: (typeof KINDS)[number]) =>
    Object.fromEntries(rows.flatMap(({ kind, name, state }) => (kind === wanted ? [[name, state]] : [])));
  return { second: position.second, environments: of('environments'), vehicles: of('vehicles'), flags: of('flags') };
}
