/** Locks the flags of a set of changes, all at once and in the common order, so that two sets cannot deadlock. */
import { FLAG_KEY_PATTERN } from '../../../../core/model.ts';
import { is } from '../../../../core/json/shape.ts';
import { rowsOf } from '../../../shared/postgres/rows.ts';
import type { Transaction } from '../../../shared/postgres/transaction.ts';
import type { Flag } from '../../flags/flag.ts';
import { lockFlags } from '../../flags/flag-store.ts';
import { findFlagsById } from '../../flags/reading/flag-reads.ts';

/** The names of flags: their ids, their keys, or the ids of rules that they have. */
export interface FlagNames {
  readonly ids?: readonly string[];
  readonly keys?: readonly string[];
  readonly ruleIds?: readonly string[];
}

/** Flags that are locked until the transaction ends; each is null where there is none. */
export interface LockedFlags {
  byId(id: string): Flag | null;
  byKey(key: string): Flag | null;
  byRule(ruleId: string): Flag | null;
}

/** Locks flags and reads them under their locks. */
export async function lockNamedFlags(
  tx: Transaction,
  { ids = [], keys = [], ruleIds = [] }: FlagNames,
): Promise<LockedFlags> {
  // A text that is no key names no flag, and PostgreSQL does not accept every text.
  const valid = keys.filter((key) => FLAG_KEY_PATTERN.test(key));
  const found = await rowsOf(tx, { id: is.string, rule: is.nullable(is.string) })`
    SELECT id, NULL::uuid AS rule FROM flags WHERE key = ANY(${valid}::text[])
    UNION ALL SELECT flag_id, id FROM rules WHERE id = ANY(${[...ruleIds]}::uuid[])`;
  const all = [...ids, ...found.map(({ id }) => id)];
  await lockFlags(tx, all);
  // Read again under the locks: they may have changed while this transaction waited.
  const flags = await findFlagsById(tx, all);
  const named = (name: 'id' | 'key') => new Map(flags.map((flag) => [flag[name], flag]));
  const [byId, byKey] = [named('id'), named('key')];
  const ofRule = new Map(found.flatMap(({ id, rule }) => (rule === null ? [] : [[rule, id] as const])));
  return {
    byId: (id) => byId.get(id) ?? null,
    byKey: (key) => byKey.get(key) ?? null,
    byRule: (rule) => byId.get(ofRule.get(rule) ?? '') ?? null,
  };
}
