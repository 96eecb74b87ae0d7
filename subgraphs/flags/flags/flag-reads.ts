/** Reads of flags with their rules. Each is one statement, whatever the number of flags; rows are mapped here. */
import { isJsonObject } from '../../../core/json/json-value.ts';
import {
  ENVIRONMENTS,
  FLAG_TYPES,
  RULE_TYPES,
  SAFETY_LEVELS,
  type Environment,
  type JsonValue,
} from '../../../core/model.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import { oneOf } from '../../shared/postgres/column-values.ts';
import { prepared } from '../../shared/postgres/prepared-statements.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';
import { pageOf, type Page } from '../../../core/wire/pagination.ts';
import type { FlagFilter, FlagOrder } from '../generated/resolvers.ts';
import type { Position } from '../sync/sync-store.ts';
import { beyond, placeColumn } from './flag-order.ts';
import { searchCondition } from './flag-search.ts';
import type { Flag, Rule } from './flag.ts';

/** A rule as `RULES` gives it. */
interface RuleRow {
  readonly id: string;
  readonly type: string;
  readonly priority: number;
  readonly enabled: boolean;
  readonly conditions: JsonValue;
  readonly value: JsonValue;
  readonly variant: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** A flag as `FLAG` gives it. */
export interface FlagRow {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly description: string | null;
  readonly type: string;
  readonly defaultValue: JsonValue;
  readonly enabled: boolean;
  readonly safetyLevel: string;
  readonly environment: string;
  readonly revision: number;
  readonly totalEvaluations: number;
  readonly activeVehicles: number;
  readonly lastEvaluationAt: string | null;
  readonly createdById: string | null;
  readonly updatedById: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly archivedAt: string | null;
  readonly draft: boolean;
  readonly signedDefinition: string | null;
  readonly rules: readonly RuleRow[];
}

/** SQL for the rules of a row of `flags`, as JSON, in the order in which they are tried. */
const RULES = Prisma.sql`(SELECT COALESCE(json_agg(json_build_object('id', r.id, 'type', r.type, 'priority', r.priority, 'enabled', r.enabled, 'conditions', r.conditions, 'value', r.value, 'variant', r.variant, 'createdAt', r.created_at, 'updatedAt', r.updated_at) ORDER BY r.priority DESC, r.type, r.id), '[]') FROM rules r WHERE r.flag_id = flags.id)`;

/** SQL for a row of `flags` with its rules, as JSON. */
export const FLAG = Prisma.sql`json_build_object('id', flags.id, 'key', flags.key, 'name', flags.name, 'description', flags.description, 'type', flags.type, 'defaultValue', flags.default_value, 'enabled', flags.enabled, 'safetyLevel', flags.safety_level, 'environment', flags.environment, 'revision', flags.revision,
  'totalEvaluations', flags.total_evaluations, 'activeVehicles', flags.active_vehicles, 'lastEvaluationAt', flags.last_evaluation_at, 'createdById', flags.created_by, 'updatedById', flags.updated_by, 'createdAt', flags.created_at, 'updatedAt', flags.updated_at, 'archivedAt', flags.archived_at, 'draft', flags.draft, 'signedDefinition', flags.signed_definition, 'rules', ${RULES})`;

/** Values are stored as `{"value": …}` (database.md, flags). */
const unwrap = (stored: JsonValue): JsonValue => (isJsonObject(stored) ? (stored['value'] ?? null) : null);

const readRuleType = oneOf('rules.type', RULE_TYPES);
const readFlagType = oneOf('flags.type', FLAG_TYPES);
const readSafetyLevel = oneOf('flags.safety_level', SAFETY_LEVELS);
const readEnvironment = oneOf('flags.environment', ENVIRONMENTS);

const timeOrNull = (stored: string | null) => (stored === null ? null : new Date(stored));

function toRule({ type, value, createdAt, updatedAt, ...row }: RuleRow): Rule {
  return {
    ...row,
    type: readRuleType(type),
    value: unwrap(value),
    createdAt: new Date(createdAt),
    updatedAt: new Date(updatedAt),
  };
}

/** Maps a stored row to the domain's flag. */
export function toFlag(row: FlagRow): Flag {
  return {
    ...row,
    type: readFlagType(row.type),
    defaultValue: unwrap(row.defaultValue),
    safetyLevel: readSafetyLevel(row.safetyLevel),
    environment: readEnvironment(row.environment),
    rules: row.rules.map(toRule),
    lastEvaluationAt: timeOrNull(row.lastEvaluationAt),
    createdAt: new Date(row.createdAt),
    updatedAt: new Date(row.updatedAt),
    // A draft's row is stored like an archived flag's, so that no query for living flags finds it.
    archivedAt: row.draft ? null : timeOrNull(row.archivedAt),
    signedDefinition: row.signedDefinition ?? '',
  };
}

/** Reads the flags that meet a condition on `flags`, in no particular order. */
async function findFlags(db: Reader, condition: Prisma.Sql, mark = Prisma.empty): Promise<Flag[]> {
  const rows = await db.$queryRaw<{ flag: FlagRow }[]>`${mark} SELECT ${FLAG} AS flag FROM flags WHERE ${condition}`;
  return rows.map(({ flag }) => toFlag(flag));
}

/** Finds flags by id; unknown ids are left out. */
export function findFlagsById(db: Reader, ids: readonly string[]): Promise<Flag[]> {
  return findFlags(db, Prisma.sql`flags.id = ANY(${[...ids]}::uuid[])`, prepared('flags_by_id'));
}

/** Finds flags by key; unknown keys are left out. */
export function findFlagsByKey(db: Reader, keys: readonly string[]): Promise<Flag[]> {
  return findFlags(db, Prisma.sql`flags.key = ANY(${[...keys]}::text[])`, prepared('flags_by_key'));
}

/** Finds the living flags of an environment. */
export function findLivingFlags(db: Reader, environment: string): Promise<Flag[]> {
  return findFlags(db, Prisma.sql`flags.environment = ${environment} AND flags.archived_at IS NULL`);
}

/** A living flag at one version of its row. */
export interface LivingFlag {
  readonly id: string;
  /** The revision and the time of the last change: the same in no other state of the flag, in no restored database. */
  readonly version: string;
  readonly createdAtUs: number;
  readonly updatedAtUs: number;
}

/** The living flags of all environments, and the environments' positions, all of one moment. */
export interface LivingFlags {
  readonly positions: Map<Environment, Position>;
  /** `flag` is null where the caller holds this version. */
  readonly living: readonly (LivingFlag & { readonly flag: Flag | null })[];
}

const inMicroseconds = (column: string) => Prisma.raw(`(extract(epoch FROM flags.${column}) * 1000000)::bigint`);
const VERSION = Prisma.sql`flags.revision || ':' || ${inMicroseconds('updated_at')}`;

interface LivingRow extends Omit<LivingFlag, 'id'> {
  readonly name: Environment;
  readonly revision: bigint;
  readonly changedAt: Date;
  /** Null, as all of the flag, in the one row of an environment without flags. */
  readonly id: string | null;
  readonly flag: FlagRow | null;
}

/** Reads all living flags, but whole only those that `held` (versions by id) does not name. */
export async function readLivingFlags(db: Reader, held: ReadonlyMap<string, string>): Promise<LivingFlags> {
  const rows = await db.$queryRaw<LivingRow[]>`${prepared('living_flags')}
    SELECT e.name, e.revision, e.updated_at AS "changedAt", flags.id, ${VERSION} AS version,
      ${inMicroseconds('created_at')}::float8 AS "createdAtUs", ${inMicroseconds('updated_at')}::float8 AS "updatedAtUs",
      CASE WHEN flags.id IS NOT NULL AND held.id IS NULL THEN ${FLAG} END AS flag
    FROM environments e
    LEFT JOIN flags ON flags.environment = e.name AND flags.archived_at IS NULL
    LEFT JOIN unnest(${[...held.keys()]}::uuid[], ${[...held.values()]}::text[]) AS held (id, version)
      ON held.id = flags.id AND held.version = ${VERSION}`;
  const positions = new Map(
    rows.map(({ name, revision, changedAt }) => [
      name,
      { revision: Number(revision), changedAtMs: changedAt.getTime() },
    ]),
  );
  const living = rows.flatMap(({ id, version, createdAtUs, updatedAtUs, flag }) =>
    id === null ? [] : { id, version, createdAtUs, updatedAtUs, flag: flag && toFlag(flag) },
  );
  return { positions, living };
}

/** A page of flags, and the number of flags on all pages. */
export interface FlagPage {
  readonly flags: Flag[];
  readonly totalCount: number;
  readonly more: boolean;
  /** Gives the name by which the list's cursors refer to a flag. */
  readonly nameOf: (flag: Flag) => string;
}

/** Reads one page of the matching flags. */
export async function searchFlags(db: Reader, search: FlagFilter, page: Page, order: FlagOrder): Promise<FlagPage> {
  const where = searchCondition(search);
  const [rows, [total]] = await Promise.all([
    // The flags of the page are chosen before any of them is read whole.
    db.$queryRaw<{ place: string; flag: FlagRow }[]>`
      SELECT chosen.place, ${FLAG} AS flag
      FROM (
        SELECT page.*, row_number() OVER () AS number FROM (
          SELECT id, ${placeColumn(order)} AS place FROM flags WHERE ${where} ${beyond(order, page)} LIMIT ${page.limit + 1}
        ) page
      ) chosen JOIN flags ON flags.id = chosen.id
      ORDER BY chosen.number`,
    db.$queryRaw<{ count: bigint }[]>`SELECT count(*) AS count FROM flags WHERE ${where}`,
  ]);
  const { items, more } = pageOf(rows, page);
  const places = new Map(items.map(({ flag, place }) => [flag.id, place]));
  return {
    flags: items.map(({ flag }) => toFlag(flag)),
    totalCount: Number(total?.count ?? 0),
    more,
    nameOf: ({ id }) => places.get(id) ?? id,
  };
}
