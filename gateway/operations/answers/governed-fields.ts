/**
 * Which operations' answers revisions govern: those whose every field stands here. Another field, such as one that is
 * new, is not governed: its operation is run each time. docs/decisions/answers-by-revision.md has the reasons.
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

/** What decides an answer beside its document, its variables and the caller's permission scope. */
export interface Dependencies {
  /** The names of the environments whose positions count, as the domain spells them; null: all. */
  readonly environments: readonly string[] | null;
  /** Vehicles whose registered facts count. */
  readonly vins: readonly string[];
  /** Flags that count as drafts, too: a draft comes and goes without a revision. */
  readonly keys: readonly string[];
  /** Whether the answer holds the time at which the database confirmed it, in whole seconds. */
  readonly isDated: boolean;
}

/** What a field depends on with these arguments; null where nothing here would say when its answer changes. */
type Rule = (args: Arguments) => Partial<Dependencies> | null;

/** The values of an environment's enum are its names in capitals. */
const only = (environment: unknown): Pick<Dependencies, 'environments'> => ({
  environments: typeof environment === 'string' ? [environment.toLowerCase()] : null,
});

/**
 * What is registered of a vehicle fills what a context leaves out. It counts wherever there is a VIN: what is left out
 * is for the evaluation to say, which takes a blank name for none.
 */
function vehicleOf({ context }: Arguments): Pick<Dependencies, 'vins'> | null {
  const { vin } = membersOf(context);
  if (!vin) return { vins: [] };
  return typeof vin === 'string' && VIN_PATTERN.test(vin) ? { vins: [vin] } : null;
}

const flag: Rule = ({ key }) =>
  typeof key === 'string' && FLAG_KEY_PATTERN.test(key) ? { environments: null, keys: [key] } : null;

/**
 * Drafts, and archived flags (a dropped draft becomes one), come and go without a revision, rollouts are planned
 * without one, and `updatedAt` moves without one.
 */
const flags: Rule = ({ filter, orderBy }) => {
  const { draft, archived, hasRollout, environment } = membersOf(filter);
  const isGoverned =
    draft !== true &&
    archived !== true &&
    typeof hasRollout !== 'boolean' &&
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

/** The answer to a nonce is for that vehicle alone. */
const flagSync: Rule = ({ environment, nonce }) => (nonce == null ? { ...only(environment), isDated: true } : null);

const flagProof: Rule = ({ environment }) => ({ ...only(environment), isDated: true });

/**
 * Left out with reason: statistics (`Flag.totalEvaluations` …), people, `updatedAt` (which also moves where nothing
 * that a vehicle sees does), history, experiments, change requests and rollouts.
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
  ...allOf('Evaluation', ['flagKey', 'value', 'variant', 'reason', 'ruleId', 'revision']),
  ...allOf('FlagSync', ['environment', 'revision', 'full', 'flags', 'statement', 'proof']),
  ...allOf('SignedFlag', ['key', 'revision', 'removed', 'jws']),
};

function allOf(type: string, fields: readonly string[]): Record<string, true> {
  return Object.fromEntries(fields.map((field) => [`${type}.${field}`, true]));
}

/** What answers to a document depend on, by the coerced variables; null with variables that govern none. */
export type AnswerPlan = (variables: Arguments) => Dependencies | null;

/** Fields with a rule of a governed document. */
interface RuledField {
  readonly rule: Rule;
  readonly definition: GraphQLField<unknown, unknown>;
  readonly node: FieldNode;
}

/**
 * A function that plans the answers to a document that is valid against `schema`; null where revisions do not govern
 * them, whatever the variables are. Each document is looked through once.
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
  // With several operations each would have variables of its own.
  if (document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION).length !== 1) return null;
  const types = new TypeInfo(schema);
  const ruled: RuledField[] = [];
  let isGoverned = true;
  visit(
    document,
    visitWithTypeInfo(types, {
      Field(node) {
        // __typename says nothing that could change.
        if (node.name.value === '__typename') return;
        const definition = types.getFieldDef();
        const name = `${types.getParentType()?.name}.${node.name.value}`;
        const rule = Object.hasOwn(GOVERNED, name) ? GOVERNED[name] : undefined;
        if (rule === undefined || !definition) isGoverned = false;
        else if (rule !== true) ruled.push({ rule, definition, node });
      },
    }),
  );
  // Without a root field of the flags subgraph there is nothing to ask it.
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
