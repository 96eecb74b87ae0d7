/**
 * Lists the fields whose values revisions govern. An operation is governed if all its fields stand here; any other
 * operation, such as one with a new field, is run each time. Source: docs/decisions/api/answers-by-revision.md.
 */
import {
  Kind,
  TypeInfo,
  getArgumentValues,
  visit,
  visitWithTypeInfo,
  type DocumentNode,
  type FieldNode,
  type GraphQLField,
  type GraphQLSchema,
} from 'graphql';
import { FLAG_KEY_PATTERN, VIN_PATTERN } from '../../../core/model.ts';
import { membersOf } from '../../../core/json/json-value.ts';

type Arguments = Readonly<Record<string, unknown>>;

/** The inputs of an answer beside its document, its variables and the caller's permission scope. */
export interface Dependencies {
  /** The environments whose positions the answer depends on, in the domain's spelling; null for all. */
  readonly environments: readonly string[] | null;
  /** The vehicles whose registered facts the answer depends on. */
  readonly vins: readonly string[];
  /** The flags the answer depends on even as drafts: a draft comes and goes without a revision. */
  readonly keys: readonly string[];
  /** Whether the answer holds the time at which the database confirmed it, in whole seconds. */
  readonly isDated: boolean;
}

/** Gives the inputs of a field with these arguments; null where no state shows when its answer changes. */
type Rule = (args: Arguments) => Partial<Dependencies> | null;

/** Gives the environment of an enum value, which is its name in capital letters. */
const only = (environment: unknown): Pick<Dependencies, 'environments'> => ({
  environments: typeof environment === 'string' ? [environment.toLowerCase()] : null,
});

/**
 * Gives the vehicle whose registered facts complete a context. They count wherever there is a VIN, because only the
 * evaluation knows which facts are missing: a blank name counts as missing.
 */
function vehicleOf({ context }: Arguments): Pick<Dependencies, 'vins'> | null {
  const { vin } = membersOf(context);
  if (!vin) return { vins: [] };
  return typeof vin === 'string' && VIN_PATTERN.test(vin) ? { vins: [vin] } : null;
}

const flag: Rule = ({ key }) =>
  typeof key === 'string' && FLAG_KEY_PATTERN.test(key) ? { environments: null, keys: [key] } : null;

/**
 * Gives no inputs for lists by a condition that changes without a revision: drafts and archived flags (a dropped draft
 * becomes one) come and go, rollouts are planned, releases hold, evaluations are reported, and `updatedAt` changes
 * without one.
 */
const flags: Rule = ({ filter, orderBy }) => {
  const { draft, archived, hasRollout, releaseHolds, stale, environment } = membersOf(filter);
  const isGoverned =
    draft !== true &&
    archived !== true &&
    typeof hasRollout !== 'boolean' &&
    typeof releaseHolds !== 'boolean' &&
    typeof stale !== 'boolean' &&
    membersOf(orderBy)['field'] !== 'UPDATED_AT';
  return isGoverned ? only(environment) : null;
};

const evaluateFlag: Rule = (args) => {
  const vehicle = vehicleOf(args);
  return vehicle && { environments: null, ...vehicle };
};

const evaluateFlags: Rule = (args) => {
  const vehicle = vehicleOf(args);
  return vehicle && { ...only(args['environment']), ...vehicle };
};

/** An answer to a nonce is not kept, because it is for one vehicle alone. */
const flagSync: Rule = ({ environment, nonce }) => (nonce == null ? { ...only(environment), isDated: true } : null);

const flagProof: Rule = ({ environment }) => ({ ...only(environment), isDated: true });

/**
 * The governed fields. These are left out on purpose: statistics (`Flag.totalEvaluations` …), people, `updatedAt`
 * (which also changes where nothing that a vehicle sees does), history, experiments, change requests and rollouts.
 */
export const GOVERNED: Readonly<Record<string, true | Rule>> = {
  'Query.flag': flag,
  'Query.flags': flags,
  'Query.evaluateFlag': evaluateFlag,
  'Query.evaluateFlags': evaluateFlags,
  'Query.flagSync': flagSync,
  'Query.flagProof': flagProof,
  ...allOf('FlagConnection', ['edges', 'nodes', 'pageInfo', 'totalCount']),
  ...allOf('FlagEdge', ['cursor', 'node']),
  ...allOf('PageInfo', ['hasNextPage', 'hasPreviousPage', 'startCursor', 'endCursor']),
  ...allOf('Flag', [
    'id',
    'key',
    'name',
    'description',
    'type',
    'defaultValue',
    'enabled',
    'killed',
    'safetyLevel',
    'environment',
    'rules',
    'revision',
    'createdAt',
    'archivedAt',
    'draft',
  ]),
  ...allOf('Rule', ['id', 'type', 'priority', 'enabled', 'conditions', 'value', 'variant', 'createdAt']),
  ...allOf('Evaluation', [
    'flagKey',
    'value',
    'variant',
    'reason',
    'ruleId',
    'revision',
    'failedPrerequisite',
    'inScope',
  ]),
  ...allOf('FlagSync', ['environment', 'revision', 'full', 'flags', 'statement', 'proof']),
  ...allOf('SignedFlag', ['key', 'revision', 'removed', 'jws']),
};

function allOf(type: string, fields: readonly string[]): Record<string, true> {
  return Object.fromEntries(fields.map((field) => [`${type}.${field}`, true]));
}

/** Gives the inputs of the answer to a document with these coerced variables; null where revisions do not govern it. */
export type AnswerPlan = (variables: Arguments) => Dependencies | null;

/** A field of a governed document that has a rule. */
interface RuledField {
  readonly rule: Rule;
  readonly definition: GraphQLField<unknown, unknown>;
  readonly node: FieldNode;
}

/**
 * Creates a function that gives the answer plan of a document that is valid against `schema`; null where revisions do
 * not govern its answers, whatever the variables are. Each document is visited once.
 */
export function answerPlans(schema: GraphQLSchema): (document: DocumentNode) => AnswerPlan | null {
  const plans = new WeakMap<DocumentNode, { readonly plan: AnswerPlan | null }>();
  return (document) => {
    let known = plans.get(document);
    if (known === undefined) {
      const fields = ruledFields(schema, document);
      plans.set(document, (known = { plan: fields && planOf(fields) }));
    }
    return known.plan;
  };
}

function ruledFields(schema: GraphQLSchema, document: DocumentNode): RuledField[] | null {
  // Each of several operations would have variables of its own.
  if (document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION).length !== 1) return null;
  const types = new TypeInfo(schema);
  const ruled: RuledField[] = [];
  let isGoverned = true;
  visit(
    document,
    visitWithTypeInfo(types, {
      Field(node) {
        // `__typename` never changes.
        if (node.name.value === '__typename') return;
        const definition = types.getFieldDef();
        const name = `${types.getParentType()?.name}.${node.name.value}`;
        const rule = Object.hasOwn(GOVERNED, name) ? GOVERNED[name] : undefined;
        if (rule === undefined || !definition) isGoverned = false;
        else if (rule !== true) ruled.push({ rule, definition, node });
      },
    }),
  );
  // Without a rule there is no root field of the flags subgraph, which would answer the query.
  return isGoverned && ruled.length > 0 ? ruled : null;
}

function planOf(fields: readonly RuledField[]): AnswerPlan {
  return (variables) => {
    const all = [];
    for (const { rule, definition, node } of fields) {
      const dependencies = rule(getArgumentValues(definition, node, variables));
      if (dependencies === null) return null;
      all.push(dependencies);
    }
    return together(all);
  };
}

const distinct = (names: readonly string[]) => [...new Set(names)].sort();

function together(all: readonly Partial<Dependencies>[]): Dependencies {
  const environments = all.map((one) => one.environments);
  return {
    environments: environments.includes(null) ? null : distinct(environments.flatMap((names) => names ?? [])),
    vins: distinct(all.flatMap(({ vins }) => vins ?? [])),
    keys: distinct(all.flatMap(({ keys }) => keys ?? [])),
    isDated: all.some(({ isDated }) => isDated === true),
  };
}
