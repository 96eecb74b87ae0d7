/**
 * What syncs read of environments, flags and tombstones: where an environment stands, what has changed, and the digest
 * of what lives there.
 */
import type { Environment } from '../../../core/model.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';

/** One entry of a delta: a signed definition, or a signed tombstone. */
export interface Delta {
  readonly key: string;
  readonly revision: number;
  readonly removed: boolean;
  readonly jws: string;
}

/**
 * A point of an environment's history. `changedAtMs` tells apart two histories that count the same revisions (a restored
 * database).
 */
export interface Position {
  readonly revision: number;
  /** Milliseconds since 1970 of the revision's change. */
  readonly changedAtMs: number;
}

/** What a read found, and when it began: by the database's clock, so that all instances name one time. */
export interface Dated {
  /** Milliseconds since 1970. */
  readonly readAt: number;
}

/** Where each environment stands. */
export async function currentPositions(
  db: Reader,
): Promise<Dated & { readonly positions: Map<Environment, Position> }> {
  const rows = await db.$queryRaw<{ name: Environment; revision: bigint; changed_at: Date; at: Date }[]>`
    SELECT name, revision, updated_at AS changed_at, statement_timestamp() AS at FROM environments`;
  const positions = new Map(
    rows.map(({ name, revision, changed_at }) => [
      name,
      { revision: Number(revision), changedAtMs: changed_at.getTime() },
    ]),
  );
  return { positions, readAt: rows[0]?.at.getTime() ?? 0 };
}

/** SHA-256 of a text in base64url, as `core/wire/proof.ts` has it. */
const sha256 = (text: Prisma.Sql) =>
  Prisma.sql`translate(rtrim(encode(sha256(convert_to(${text}, 'UTF8')), 'base64'), '='), '+/', '-_')`;

/**
 * The digest of the set of what lives in an environment, as proofs have it, told by the database. Of a key nothing has
 * to be escaped in JSON.
 */
const SET_OF_LIVING = Prisma.sql`SELECT ${sha256(Prisma.sql`'[' || COALESCE(string_agg('["' || key || '",' || revision || ',"' || ${sha256(Prisma.sql`signed_definition`)} || '"]', ',' ORDER BY key COLLATE "C"), '') || ']'`)}`;

export interface ChangesSince extends Dated {
  readonly position: Position;
  readonly deltas: Delta[];
  /**
   * The digest of the set of all that lives there, whatever has changed: it shows whether what is known of the rest
   * still holds.
   */
  readonly set: string;
}

/**
 * What changed in an environment after `since`, in revision order, and where the environment stands: one statement,
 * so one snapshot, or a change between two reads could be missed.
 *
 * @param tombstones whether to tell of flags that have left; by default not with `since` 0, when there is nothing to
 *   remove
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

/** Where an environment stands, and the digest of the set of what lives there: little to read, whatever its size. */
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
