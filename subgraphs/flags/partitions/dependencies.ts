/**
 * Checks of the dependencies between flags when they are written. The caller holds the environments' locks, so that two
 * changes at once cannot make a cycle. Source: scopes.md, "Dependencies".
 */
import { isDeepStrictEqual } from 'node:util';
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import { ENVIRONMENTS, RULE_TYPES, SAFETY_LEVELS, type Environment, type RuleDefinition } from '../../../core/model.ts';
import { is } from '../../../core/json/shape.ts';
import { variantOf } from '../../../core/evaluation/rules/rule-variant.ts';
import { DependencyGraph, type GraphFlag } from '../../../core/partitions/dependency-graph.ts';
import { nearestName } from '../../../core/validation/nearest-name.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';
import { areRequirements, type Flag } from '../flags/flag.ts';
import type { WrittenChange } from '../flags/limits.ts';

/** The argument by which a change is refused. */
export interface FaultPlace {
  /** The dotted path; null for a change without one, such as archiving. */
  readonly path: string | null;
  /** Whether the path is that of an object with the members `scope`, `requires` and so on; else it is named itself. */
  readonly hasMembers: boolean;
}

/** A change with the place of its faults. */
export interface PlacedChange extends WrittenChange {
  readonly place: FaultPlace;
}

/**
 * Gives the contents of a flag: its own and, while a release is under way, the one that vehicles outside its ring keep.
 */
const contentsOf = <Of extends GraphFlag>(
  flag: Of,
  stable: Pick<GraphFlag, 'requires' | 'excludes'> | null | undefined,
): Of[] => (stable == null ? [flag] : [flag, { ...flag, requires: stable.requires, excludes: stable.excludes }]);

/**
 * Reads the flags in use of some environments that depend on others, those that they name, and those with `keys`; one
 * statement. A flag whose release is under way is given twice, once with each content.
 */
async function readGraphFlags(
  db: Reader,
  environments: readonly Environment[],
  keys: readonly string[],
): Promise<(GraphFlag & { readonly environment: Environment })[]> {
  const places = [...environments];
  const rows = await rowsOf(db, {
    environment: is.oneOf(ENVIRONMENTS),
    key: is.string,
    scope: is.nullable(is.listOf(is.string)),
    safetyLevel: is.oneOf(SAFETY_LEVELS),
    requires: areRequirements,
    excludes: is.listOf(is.string),
    stable: is.nullable(is.shape({ requires: areRequirements, excludes: is.listOf(is.string) })),
  })`
    WITH depending AS (
      SELECT environment, key, scope, safety_level, requires, excludes, release->'stable' AS stable FROM flags
      WHERE environment = ANY(${places}::text[]) AND archived_at IS NULL AND (requires <> '[]' OR excludes <> '{}' OR release IS NOT NULL)
    ), named AS (
      SELECT environment, requirement->>'flag' AS key
      FROM depending, jsonb_array_elements(requires || COALESCE(stable->'requires', '[]')) AS requirement
      UNION SELECT environment, unnest(excludes || ARRAY(SELECT jsonb_array_elements_text(stable->'excludes'))) FROM depending
      UNION SELECT environment, key FROM unnest(${places}::text[]) AS environment, unnest(${[...keys]}::text[]) AS key
    )
    SELECT environment, key, scope, safety_level AS "safetyLevel", requires, excludes, stable FROM depending
    UNION ALL
    SELECT environment, key, scope, safety_level, requires, excludes, NULL FROM flags
    WHERE key = ANY(ARRAY(SELECT key FROM named)) AND (environment, key) IN (SELECT environment, key FROM named)
      AND archived_at IS NULL AND requires = '[]' AND excludes = '{}' AND release IS NULL`;
  return rows.flatMap(({ stable, ...flag }) => contentsOf(flag, stable));
}

/** Reads the graphs of dependencies of some environments, in their order; one statement. */
export async function readDependencyGraphs(
  db: Reader,
  environments: readonly Environment[],
): Promise<DependencyGraph[]> {
  const flags = await readGraphFlags(db, [...new Set(environments)], []);
  const graphs = new Map(
    environments.map((name) => [name, new DependencyGraph(flags.filter(({ environment }) => environment === name))]),
  );
  return environments.map((environment) => graphs.get(environment) ?? new DependencyGraph([]));
}

const servesVariant = ({ type }: Pick<RuleDefinition, 'type'>) => type !== 'kill_switch';

const variantsOf = (rules: readonly Pick<RuleDefinition, 'type' | 'variant'>[]): string[] => [
  ...new Set(rules.filter(servesVariant).map(variantOf)),
];

const isLiving = (flag: Flag | null): flag is Flag => flag !== null && flag.archivedAt === null && !flag.draft;

/** Gives what other flags may rely on, and what the flag relies on itself; null where it is not in use. */
const relationsOf = (flag: Flag | null) => {
  if (!isLiving(flag)) return null;
  const { environment, scope, safetyLevel, requires, excludes, rules } = flag;
  return { environment, scope, safetyLevel, requires, excludes, variants: variantsOf(rules).sort() };
};

/** Gives the refusal that a check throws, at the place of its change; null where it throws none. */
function faultOf({ path, hasMembers }: FaultPlace, check: () => void): FleetFlagError | null {
  try {
    check();
  } catch (error) {
    if (!(error instanceof FleetFlagError)) throw error;
    if (path === null || hasMembers) return error;
    return new FleetFlagError(path === 'id' ? 'CONFLICT' : error.code, error.message, {
      ...error.details,
      field: path,
    });
  }
  return null;
}

/** Reads the variants that the rules of flags serve, by the flags' keys. */
async function readVariants(
  db: Reader,
  environment: Environment,
  keys: readonly string[],
): Promise<Map<string, string[]>> {
  const rows = await rowsOf(db, { key: is.string, type: is.oneOf(RULE_TYPES), variant: is.nullable(is.string) })`
    SELECT f.key, r.type, r.variant FROM flags f JOIN rules r ON r.flag_id = f.id
    WHERE f.environment = ${environment} AND f.archived_at IS NULL AND f.key = ANY(${[...keys]}::text[])`;
  const rules = new Map(keys.map((key): [string, (typeof rows)[number][]] => [key, []]));
  for (const row of rows) rules.get(row.key)?.push(row);
  return new Map(Array.from(rules, ([key, ofFlag]) => [key, variantsOf(ofFlag)]));
}

/** Refuses a requirement of a variant that no rule of the required flag serves. */
function checkNamedVariants({ before, after, place }: PlacedChange, variants: ReadonlyMap<string, string[]>): void {
  for (const [index, requirement] of after.requires.entries()) {
    if (before?.requires.some((known) => isDeepStrictEqual(known, requirement)) === true) continue;
    const served = variants.get(requirement.flag) ?? [];
    for (const [position, variant] of (requirement.variants ?? []).entries()) {
      if (served.includes(variant)) continue;
      const nearest = nearestName(variant, served);
      const hint = nearest === null ? `it has ${served.join(', ') || 'none but control'}` : `did you mean ${nearest}?`;
      throw badInput(
        `${place.path ?? 'input'}.requires.${index}.variants.${position}`,
        `No rule of ${requirement.flag} serves the variant ${variant}; ${hint}`,
      );
    }
  }
}

/** Refuses a change of a flag that takes away a variant which other flags require. */
function checkLostVariants({ before, after }: PlacedChange, flags: readonly GraphFlag[]): void {
  if (!isLiving(before) || !isLiving(after)) return;
  const kept = variantsOf(after.rules);
  const lost = variantsOf(before.rules).filter((variant) => !kept.includes(variant));
  if (lost.length === 0) return;
  const needing = flags.filter(({ requires = [] }) =>
    requires.some(({ flag, variants }) => flag === after.key && variants?.some((variant) => lost.includes(variant))),
  );
  if (needing.length === 0) return;
  throw new FleetFlagError(
    'CONFLICT',
    `${needing.map(({ key }) => key).join(', ')} needs a variant of ${after.key} that no rule would serve any more: ${lost.join(', ')}. Change that first.`,
    { currentRevision: before.revision },
  );
}

async function faultsIn(
  db: Reader,
  environment: Environment,
  changes: readonly PlacedChange[],
): Promise<FleetFlagError[]> {
  const changed = new Set(changes.map(({ after }) => after.key));
  const present = changes
    .map(({ after }) => after)
    .filter((flag) => isLiving(flag) && flag.environment === environment);
  const isPresent = new Set(present);
  const named = present.flatMap(({ requires, excludes }) => [...requires.map(({ flag }) => flag), ...excludes]);
  const others = (await readGraphFlags(db, [environment], named)).filter(({ key }) => !changed.has(key));
  const flags: GraphFlag[] = [
    ...others,
    ...present.flatMap((flag) => contentsOf<GraphFlag>(flag, flag.release?.stable)),
  ];
  const graph = new DependencyGraph(flags);
  const withVariants = present.flatMap(({ requires }) =>
    requires.filter(({ variants }) => variants != null).map(({ flag }) => flag),
  );
  const variants =
    withVariants.length === 0 ? new Map<string, string[]>() : await readVariants(db, environment, withVariants);
  for (const { key, rules } of present) variants.set(key, variantsOf(rules));
  return changes.flatMap((change) => {
    const { before, after, place } = change;
    const was = isLiving(before) && before.environment === environment ? before : null;
    const moves = isLiving(before) && before.environment !== after.environment;
    const at = moves && place.hasMembers ? { path: `${place.path}.environment`, hasMembers: false } : place;
    const fault = faultOf(at, () => {
      if (isPresent.has(after)) graph.check(after.key, place.path ?? 'input', was);
      if (was !== null) graph.checkDependents(after.key, place.path);
      if (isPresent.has(after)) checkNamedVariants({ ...change, before: was }, variants);
      if (was !== null) checkLostVariants(change, flags);
    });
    return fault ?? [];
  });
}

/**
 * Refuses changes after which the dependencies between flags would be faulty. Changes that touch none of what
 * dependencies are about cost nothing, kill switches and disablings among them.
 *
 * @param changes all changes of one transaction, whose result is checked
 * @throws BAD_USER_INPUT for what a flag depends on; CONFLICT for what other flags need of it
 */
export async function checkDependencies(db: Reader, changes: readonly PlacedChange[]): Promise<void> {
  const [fault] = await dependencyFaults(db, changes);
  if (fault !== undefined) throw fault;
}

/** Gives what `checkDependencies` would refuse: the first fault of each change. */
export async function dependencyFaults(db: Reader, changes: readonly PlacedChange[]): Promise<FleetFlagError[]> {
  const relevant = changes.filter(({ before, after }) => !isDeepStrictEqual(relationsOf(before), relationsOf(after)));
  const environments = relevant.flatMap(({ before, after }) => [
    ...(before === null ? [] : [before.environment]),
    after.environment,
  ]);
  const faults: FleetFlagError[] = [];
  for (const environment of new Set(environments))
    faults.push(
      ...(await faultsIn(
        db,
        environment,
        relevant.filter(
          ({ before, after }) => after.environment === environment || before?.environment === environment,
        ),
      )),
    );
  return faults;
}
