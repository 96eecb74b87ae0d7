/** The kind of a SQL statement, for metrics and traces: what it does, to which table, and nothing of its values. */
import { LRUCache } from 'lru-cache';

/** The effect of a statement on the database. `lock` waits for a row or an advisory lock that others may hold. */
export type StatementKind = 'read' | 'write' | 'lock' | 'transaction' | 'other';

/** A statement as metrics and traces name it. */
export interface DescribedStatement {
  readonly kind: StatementKind;
  /** Such as `SELECT`. */
  readonly verb: string;
  /** The first table, or empty where none is found. */
  readonly table: string;
}

const COMMENTS = /^(?:\s+|\/\*.*?\*\/|--[^\n]*\n)+/s;
const VERB = /^[a-z]+/i;
const CHANGE = /\b(insert\s+into|update|delete\s+from)\s+/i;
const LOCK = /\bfor\s+(?:no\s+key\s+)?update\b|\bpg_(?:try_)?advisory_(?:xact_)?lock/i;
const TABLE = /\b(?:from|into|update|join)\s+(?:only\s+)?(?:"?public"?\.)?"?([a-z_]{1,63})"?/i;

const KINDS: Readonly<Record<string, StatementKind>> = {
  SELECT: 'read',
  INSERT: 'write',
  UPDATE: 'write',
  DELETE: 'write',
  BEGIN: 'transaction',
  COMMIT: 'transaction',
  ROLLBACK: 'transaction',
  SAVEPOINT: 'transaction',
  RELEASE: 'transaction',
};

/** Texts are few, because values are parameters; those with lists of parameters differ in length. */
const described = new LRUCache<string, DescribedStatement>({
  max: 1_000,
  maxSize: 2_000_000,
  sizeCalculation: (_, sql) => sql.length + 100,
});

/** Describes a statement. */
export function describeStatement(sql: string): DescribedStatement {
  let known = described.get(sql);
  if (known === undefined) described.set(sql, (known = read(sql)));
  return known;
}

function read(sql: string): DescribedStatement {
  const text = sql.replace(COMMENTS, '');
  let verb = (VERB.exec(text)?.[0] ?? '').toUpperCase();
  if (verb === 'WITH') verb = (CHANGE.exec(text)?.[1] ?? 'SELECT').replace(/\s.*/s, '').toUpperCase();
  const table = (TABLE.exec(text)?.[1] ?? '').toLowerCase();
  const kind = KINDS[verb] ?? 'other';
  // An UPDATE waits for rows as well; what is counted as a lock waits for nothing else.
  return { kind: kind === 'read' && LOCK.test(text) ? 'lock' : kind, verb: verb in KINDS ? verb : 'OTHER', table };
}
