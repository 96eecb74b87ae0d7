/** Reads of flags with their rules. Each is one statement, whatever the number of flags; rows are mapped here. */
import { isJsonObject } from '../../../../core/json/json-value.ts';
import {
  ENVIRONMENTS,
  ACTIVATIONS,
  FLAG_TYPES,
  KILL_ACTIVATIONS,
  RULE_TYPES,
  SAFETY_LEVELS,
  type Environment,
  type JsonValue,
} from '../../../../core/model.ts';
import { Prisma } from '../../../../prisma/generated/client.ts';
import { oneOf } from '../../../shared/postgres/column-values.ts';
import { prepared } from '../../../shared/postgres/prepared-statements.ts';
import type { Reader } from '../../../shared/postgres/transaction.ts';
import { pageOf, type Page } from '../../../../core/wire/api/pagination.ts';
import type { FlagFilter, FlagOrder } from '../../generated/resolvers.ts';
import { FLAG_CHECK, changedAfter, type Position } from '../../sync/sync-store.ts';
import { beyond, placeColumn } from './flag-order.ts';
import { searchCondition } from './flag-search.ts';
import { areRequirements, type Flag, type Rule } from '../flag.ts';
import { isStagedRelease, toStagedRelease } from '../staged-release.ts';
import { is, type GuardedBy } from '../../../../core/json/shape.ts';
import { rowsOf } from '../../../shared/postgres/rows.ts';

/** A rule as `RULES` gives it. */
const isRuleRow = is.shape({
  id: is.string,
  type: is.string,
  priority: is.number,
  enabled: is.boolean,
  conditions: is.json,
  value: is.json,
  variant: is.nullable(is.string),
  createdAt: is.string,
  updatedAt: is.string,
});

/** A flag as `FLAG` gives it. */
const isFlagRow = is.shape({
  id: is.string,
  key: is.string,
  name: is.string,
  description: is.nullable(is.string),
  type: is.string,
  defaultValue: is.json,
  enabled: is.boolean,
  safetyLevel: is.string,
  environment: is.string,
  revision: is.number,
  totalEvaluations: is.number,
  activeVehicles: is.number,
  lastEvaluationAt: is.nullable(is.string),
  createdById: is.nullable(is.string),
  updatedById: is.nullable(is.string),
  createdAt: is.string,
  updatedAt: is.string,
  archivedAt: is.nullable(is.string),
  draft: is.boolean,
  signedDefinition: is.nullable(is.string),
  scope: is.nullable(is.listOf(is.string)),
  requires: areRequirements,
  excludes: is.listOf(is.string),
  valueSchema: is.nullable(is.jsonObject),
  activation: is.string,
  killActivation: is.string,
  noReturnBelow: is.number,
  release: is.nullable(isStagedRelease),
  rules: is.listOf(isRuleRow),
});

type RuleRow = GuardedBy<typeof isRuleRow>;
type FlagRow = GuardedBy<typeof isFlagRow>;

/** SQL for the rules of a row of `flags`, as JSON, in the order in which they are tried. */
const RULES = Prisma.sql`(SELECT COALESCE(json_agg(json_build_object('id', r.id, 'type', r.type, 'priority', r.priority, 'enabled', r.enabled, 'conditions', r.conditions, 'value', r.value, 'variant', r.variant, 'createdAt', r.created_at, 'updatedAt', r.updated_at) ORDER BY r.priority DESC, r.type, r.id), '[]') FROM rules r WHERE r.flag_id = flags.id)`;

/** SQL for a row of `flags` with its rules, as JSON. */
const FLAG = Prisma.sql`json_build_object('id', flags.id, 'key', flags.key, 'name', flags.name, 'description', flags.description, 'type', flags.type, 'defaultValue', flags.default_value, 'enabled', flags.enabled, 'safetyLevel', flags.safety_level, 'environment', flags.environment, 'revision', flags.revision,
  'totalEvaluations', flags.total_evaluations, 'activeVehicles', flags.active_vehicles, 'lastEvaluationAt', flags.last_evaluation_at, 'createdById', flags.created_by, 'updatedById', flags.updated_by, 'createdAt', flags.created_at, 'updatedAt', flags.updated_at, 'archivedAt', flags.archived_at, 'draft', flags.draft, 'signedDefinition', flags.signed_definition,
  'scope', flags.scope, 'requires', flags.requires, 'excludes', flags.excludes, 'valueSchema', flags.value_schema, 'release', flags.release, 'activation', flags.activation, 'killActivation', flags.kill_activation, 'noReturnBelow', flags.no_return_below, 'rules', ${RULES})`;

/** Values are stored as `{"value": …}` (database.md, flags). */
const unwrap = (stored: JsonValue): JsonValue => (isJsonObject(stored) ? (stored['value'] ?? null) : null);

const readRuleType = oneOf('rules.type', RULE_TYPES);
const readFlagType = oneOf('flags.type', FLAG_TYPES);
const readSafetyLevel = oneOf('flags.safety_level', SAFETY_LEVELS);
const readActivation = oneOf('flags.activation', ACTIVATIONS);
const readKillActivation = oneOf('flags.kill_activation', KILL_ACTIVATIONS);
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
function toFlag(row: FlagRow): Flag {
  return {
    ...row,
    type: readFlagType(row.type),
    defaultValue: unwrap(row.defaultValue),
    safetyLevel: readSafetyLevel(row.safetyLevel),
    environment: readEnvironment(row.environment),
    activation: readActivation(row.activation),
    killActivation: readKillActivation(row.killActivation),
    rules: row.rules.map(toRule),
    release: row.release && toStagedRelease(row.release),
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
  const rows = await rowsOf(db, { flag: isFlagRow })`${mark} SELECT ${FLAG} AS flag FROM flags WHERE ${condition}`;
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
  /** A number that names this version; the sum over an environment shows whether all of its flags are held. */
  readonly check: number;
}

/** The living flags of all environments, and the environments' positions, all of one moment. */
export interface LivingFlags {
  readonly positions: Map<Environment, Position>;
  /** `flag` is null where the caller holds this version. */
  readonly living: readonly (LivingFlag & { readonly flag: Flag | null })[];
}

const inMicroseconds = (column: string) => Prisma.raw(`(extract(epoch FROM flags.${column}) * 1000000)::bigint`);
const VERSION = Prisma.sql`flags.revision || ':' || ${inMicroseconds('updated_at')}`;

/** Reads all living flags, but whole only those that `held` (versions by id) does not name. */
export async function readLivingFlags(db: Reader, held: ReadonlyMap<string, string>): Promise<LivingFlags> {
  const rows = await rowsOf(db, {
    name: is.oneOf(ENVIRONMENTS),
    revision: is.bigint,
    changedAt: is.date,
    // Null, as all of the flag, in the one row of an environment without flags.
    id: is.nullable(is.string),
    flag: is.nullable(isFlagRow),
    version: is.nullable(is.string),
    createdAtUs: is.nullable(is.number),
    updatedAtUs: is.nullable(is.number),
    check: is.nullable(is.bigint),
  })`${prepared('living_flags')}
    SELECT e.name, e.revision, e.updated_at AS "changedAt", flags.id, ${VERSION} AS version,
      ${inMicroseconds('created_at')}::float8 AS "createdAtUs", ${inMicroseconds('updated_at')}::float8 AS "updatedAtUs",
      CASE WHEN flags.id IS NOT NULL AND held.id IS NULL THEN ${FLAG} END AS flag, ${FLAG_CHECK} AS check
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
  const living = rows.flatMap(({ id, version, createdAtUs, updatedAtUs, check, flag }) =>
    id === null || version === null || createdAtUs === null || updatedAtUs === null
      ? []
      : { id, version, createdAtUs, updatedAtUs, check: Number(check), flag: flag && toFlag(flag) },
  );
  return { positions, living };
}

/** The flags of an environment that have changed since a revision, all of one moment. */
export interface ChangedFlags {
  readonly position: Position;
  /** The sum of the checks of the environment's living flags, changed or not. */
  readonly check: bigint;
  readonly changed: readonly (LivingFlag & { readonly flag: Flag })[];
}

/**
 * Reads the living flags of an environment that have changed after a revision, and nothing of the others: a change
 * costs the same among thousands of flags.
 */
export async function readChangedFlags(db: Reader, environment: Environment, since: number): Promise<ChangedFlags> {
  const rows = await rowsOf(db, {
    revision: is.bigint,
    changedAt: is.date,
    check: is.bigint,
    id: is.nullable(is.string),
    flag: is.nullable(isFlagRow),
    version: is.nullable(is.string),
    createdAtUs: is.nullable(is.number),
    updatedAtUs: is.nullable(is.number),
    checkOfFlag: is.nullable(is.bigint),
  })`
    SELECT e.revision, e.updated_at AS "changedAt",
      e.flags_check AS check, changed.*
    FROM environments e LEFT JOIN (
      SELECT flags.id, ${VERSION} AS version, ${inMicroseconds('created_at')}::float8 AS "createdAtUs",
        ${inMicroseconds('updated_at')}::float8 AS "updatedAtUs", ${FLAG} AS flag, ${FLAG_CHECK} AS "checkOfFlag"
      FROM flags WHERE environment = ${environment} AND archived_at IS NULL AND ${changedAfter(environment, since)}
    ) changed ON true
    WHERE e.name = ${environment}`;
  const [first] = rows;
  if (first === undefined) throw new Error(`There is no environment ${environment}`);
  return {
    position: { revision: Number(first.revision), changedAtMs: first.changedAt.getTime() },
    check: first.check,
    changed: rows.flatMap(({ id, version, createdAtUs, updatedAtUs, checkOfFlag, flag }) =>
      id === null || version === null || createdAtUs === null || updatedAtUs === null || flag === null
        ? []
        : { id, version, createdAtUs, updatedAtUs, check: Number(checkOfFlag), flag: toFlag(flag) },
    ),
  };
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
    rowsOf(db, { place: is.string, flag: isFlagRow })`
      SELECT chosen.place, ${FLAG} AS flag
      FROM (
        SELECT page.*, row_number() OVER () AS number FROM (
          SELECT id, ${placeColumn(order)} AS place FROM flags WHERE ${where} ${beyond(order, page)} LIMIT ${page.limit + 1}
        ) page
      ) chosen JOIN flags ON flags.id = chosen.id
      ORDER BY chosen.number`,
    rowsOf(db, { count: is.bigint })`SELECT count(*) AS count FROM flags WHERE ${where}`,
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
