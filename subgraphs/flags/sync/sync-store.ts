/**
 * Reads for syncs from the tables of environments, flags and tombstones: positions, changes, and the digest of the
 * living flags.
 */
import type { Environment } from '../../../core/model.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import { prepared } from '../../shared/postgres/prepared-statements.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';

/** One entry of a delta: a signed definition, or a signed tombstone. */
export interface Delta {
  readonly key: string;
  readonly revision: number;
  readonly removed: boolean;
  readonly jws: string;
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

/** What is kept in memory of the environments, and is brought to their positions with each read of them. */
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
  const rows = await db.$queryRaw<
    { name: Environment; revision: bigint; changed_at: Date; at: Date }[]
  >`${prepared('positions')}
    SELECT name, revision, updated_at AS changed_at, statement_timestamp() AS at FROM environments`;
  const positions = new Map(
    rows.map(({ name, revision, changed_at }) => [
      name,
      { revision: Number(revision), changedAtMs: changed_at.getTime() },
    ]),
  );
  return { positions, readAt: rows[0]?.at.getTime() ?? 0 };
}

/** SQL for the SHA-256 of a text in base64url, as in `core/wire/proof.ts`. */
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
  readonly deltas: Delta[];
  /** The digest of all living flags, changed or not. It shows whether what is cached of the others still holds. */
  readonly set: string;
}

/**
 * Reads an environment's changes after `since`, in revision order, and its position. One statement, and so one database
 * snapshot: between two reads a change could be missed.
 *
 * @param tombstones whether to include tombstones; by default not with `since` 0, when the caller has nothing to remove
 */
export async function changesSince(
  db: Reader,
  environment: Environment,
  since: number,
  tombstones = since > 0,
): Promise<ChangesSince> {
  const rows = await db.$queryRaw<
    {
      current: bigint;
      changed_at: Date;
      at: Date;
      set: string;
      key: string | null;
      revision: bigint;
      removed: boolean;
      jws: string;
    }[]
  >`
    WITH living AS (SELECT key, revision, signed_definition FROM flags WHERE environment = ${environment} AND archived_at IS NULL)
    SELECT e.revision AS current, e.updated_at AS changed_at, statement_timestamp() AS at, (${SET_OF_LIVING} FROM living) AS set, c.key, c.revision, c.removed, c.jws
    FROM environments e LEFT JOIN (
      SELECT key, revision, false AS removed, signed_definition AS jws FROM living WHERE revision > ${since}
      UNION ALL
      SELECT key, revision, true, signed_definition FROM flag_tombstones
      WHERE environment = ${environment} AND revision > ${since} AND ${tombstones}
    ) c ON true
    WHERE e.name = ${environment} ORDER BY c.revision`;
  const [first] = rows;
  if (first === undefined) throw new Error(`There is no environment ${environment}`);
  const deltas = rows.flatMap(({ key, revision, removed, jws }) =>
    key === null ? [] : [{ key, revision: Number(revision), removed, jws }],
  );
  return {
    position: { revision: Number(first.current), changedAtMs: first.changed_at.getTime() },
    readAt: first.at.getTime(),
    set: first.set,
    deltas,
  };
}

/**
 * Gives an environment's position and the digest of its living flags: a small read, whatever the environment's size.
 */
export async function livingSet(
  db: Reader,
  environment: Environment,
): Promise<{ readonly position: Position; readonly set: string }> {
  const [row] = await db.$queryRaw<{ revision: bigint; changed_at: Date; set: string }[]>`
    SELECT revision, updated_at AS changed_at, (${SET_OF_LIVING} FROM flags WHERE environment = ${environment} AND archived_at IS NULL) AS set
    FROM environments WHERE name = ${environment}`;
  if (row === undefined) throw new Error(`There is no environment ${environment}`);
  return { position: { revision: Number(row.revision), changedAtMs: row.changed_at.getTime() }, set: row.set };
}
