/**
 * Reads for syncs from the tables of environments, flags and tombstones: positions, changes, and the digest of the
 * living flags.
 */
import { ENVIRONMENTS, type Environment } from '../../../core/model.ts';
import type { Scope } from '../../../core/partitions/partition.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import { prepared } from '../../shared/postgres/prepared-statements.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

/** One entry of a delta: a signed definition, or a signed tombstone. */
export interface Delta {
  readonly key: string;
  readonly revision: number;
  readonly removed: boolean;
  readonly jws: string;
  /** The models that get the flag of a definition; null or absent: every vehicle. */
  readonly scope?: Scope;
  /** The partition that the flag of a tombstone has left; empty or absent: all of them. */
  readonly partition?: string;
  /** A number that names the content of a definition in the database; see `ChangesSince.check`. */
  readonly check?: number;
}

/**
 * A point in an environment's history. `changedAtMs` distinguishes two histories with the same revision numbers (a
 * restored database).
 */
export interface Position {
  readonly revision: number;
  /** Milliseconds since 1970 of the revision's change. */
  readonly changedAtMs: number;
}

/** A cache of the environments that is brought to their positions with each read of them. */
export interface PositionFollower {
  /** Called before the positions are read; gives what brings it to them, or beyond, once they are. */
  follow(): (positions: ReadonlyMap<Environment, Position>) => Promise<void>;
}

/** The time when a read began, by the database's clock, so that all instances agree. */
export interface Dated {
  /** Milliseconds since 1970. */
  readonly readAt: number;
}

/** Gives each environment's position. */
export async function currentPositions(
  db: Reader,
): Promise<Dated & { readonly positions: Map<Environment, Position> }> {
  const rows = await rowsOf(db, {
    name: is.oneOf(ENVIRONMENTS),
    revision: is.bigint,
    changed_at: is.date,
    at: is.date,
  })`${prepared('positions')}
    SELECT name, revision, updated_at AS changed_at, statement_timestamp() AS at FROM environments`;
  const positions = new Map(
    rows.map(({ name, revision, changed_at }) => [
      name,
      { revision: Number(revision), changedAtMs: changed_at.getTime() },
    ]),
  );
  return { positions, readAt: rows[0]?.at.getTime() ?? 0 };
}

/** SQL for the SHA-256 of a text in base64url, as in `core/wire/vehicle/proof.ts`. */
const sha256 = (text: Prisma.Sql) =>
  Prisma.sql`translate(rtrim(encode(sha256(convert_to(${text}, 'UTF8')), 'base64'), '='), '+/', '-_')`;

/**
 * SQL for the digest of an environment's living flags, as proofs contain it. Keys contain nothing that JSON would
 * escape.
 */
const SET_OF_LIVING = Prisma.sql`SELECT ${sha256(Prisma.sql`'[' || COALESCE(string_agg('["' || key || '",' || revision || ',"' || ${sha256(Prisma.sql`signed_definition`)} || '"]', ',' ORDER BY key COLLATE "C"), '') || ']'`)}`;

/** The changes of an environment after a revision. */
export interface ChangesSince extends Dated {
  readonly position: Position;
  /** The models that a scope has ever named. */
  readonly named: ReadonlySet<string>;
  readonly deltas: Delta[];
  /** The sum of the checks of all living flags, changed or not. It shows whether what is cached of them still holds. */
  readonly check: bigint;
}

/**
 * SQL for a whole number of 40 bits that names a flag's content: no two histories give a flag the same key, revision
 * and time of change. Triggers keep their sum over an environment in `environments.flags_check`.
 */
export const FLAG_CHECK = Prisma.sql`flag_check(flags.key, flags.revision, flags.updated_at)`;

/**
 * SQL for the condition that a row has changed after a revision. The upper bound says nothing new, but keeps PostgreSQL
 * from guessing by the revisions of other environments that most rows have changed, and so from reading all of them: of
 * a bound that it does not know while it plans, it expects few.
 */
export const changedAfter = (environment: Environment, since: number) =>
  Prisma.sql`revision > ${since} AND revision <= (SELECT revision FROM environments WHERE name = ${environment})`;

/** SQL for the models of an environment that have a partition of their own. */
const NAMED = (environment: Environment) =>
  Prisma.sql`ARRAY(SELECT model FROM scoped_models WHERE environment = ${environment} ORDER BY model)`;

/**
 * Reads an environment's changes after `since` for all partitions, in revision order, its position and its named
 * models. One statement, and so one database snapshot: between two reads a change could be missed. It reads the
 * definitions that have changed, and none of the others.
 *
 * @param tombstones whether to include tombstones; by default not with `since` 0, when the caller has nothing to remove
 */
export async function changesSince(
  db: Reader,
  environment: Environment,
  since: number,
  tombstones = since > 0,
): Promise<ChangesSince> {
  const rows = await rowsOf(db, {
    current: is.nullable(is.bigint),
    changed_at: is.nullable(is.date),
    at: is.nullable(is.date),
    checks: is.nullable(is.bigint),
    named: is.nullable(is.listOf(is.string)),
    key: is.nullable(is.string),
    revision: is.nullable(is.bigint),
    partition: is.nullable(is.string),
    scope: is.nullable(is.listOf(is.string)),
    check: is.nullable(is.bigint),
    jws: is.nullable(is.string),
  })`
    SELECT e.revision AS current, e.updated_at AS changed_at, statement_timestamp() AS at,
      e.flags_check AS checks, ${NAMED(environment)} AS named,
      NULL AS key, NULL::bigint AS revision, NULL AS partition, NULL::text[] AS scope, NULL::bigint AS check, NULL AS jws
    FROM environments e WHERE e.name = ${environment}
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, key, revision, NULL, scope, ${FLAG_CHECK}, signed_definition FROM flags
    WHERE environment = ${environment} AND archived_at IS NULL AND ${changedAfter(environment, since)}
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, key, revision, partition, NULL, NULL, signed_definition FROM flag_tombstones
    WHERE environment = ${environment} AND ${changedAfter(environment, since)} AND ${tombstones}
    ORDER BY revision NULLS FIRST`;
  const [first, ...changed] = rows;
  if (first === undefined || first.current === null || first.changed_at === null || first.at === null)
    throw new Error(`There is no environment ${environment}`);
  const deltas = changed.flatMap(({ key, revision, partition, scope, check, jws }): Delta[] => {
    if (key === null || revision === null || jws === null) return [];
    const entry = { key, revision: Number(revision), jws };
    return partition === null
      ? [{ ...entry, removed: false, scope, check: Number(check) }]
      : [{ ...entry, removed: true, partition }];
  });
  return {
    position: { revision: Number(first.current), changedAtMs: first.changed_at.getTime() },
    readAt: first.at.getTime(),
    named: new Set(first.named),
    check: first.checks ?? 0n,
    deltas,
  };
}

/**
 * Gives an environment's position, its named models and the digest of its living flags: a small answer, whatever the
 * environment's size. It reads every definition, so it is for instances that start.
 */
export async function livingSet(
  db: Reader,
  environment: Environment,
): Promise<{ readonly position: Position; readonly set: string; readonly named: readonly string[] }> {
  const [row] = await rowsOf(db, {
    revision: is.bigint,
    changed_at: is.date,
    set: is.string,
    named: is.listOf(is.string),
  })`
    SELECT revision, updated_at AS changed_at, ${NAMED(environment)} AS named,
      (${SET_OF_LIVING} FROM flags WHERE environment = ${environment} AND archived_at IS NULL) AS set
    FROM environments WHERE name = ${environment}`;
  if (row === undefined) throw new Error(`There is no environment ${environment}`);
  const { revision, changed_at, set, named } = row;
  return { position: { revision: Number(revision), changedAtMs: changed_at.getTime() }, set, named };
}
