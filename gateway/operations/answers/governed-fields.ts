/**
 * Which operations' answers change only with an environment's revision: those whose every field stands here. Another
 * field, such as one that is new, is not governed: its operation is run to find out whether its answer has changed.
 */
import {
  Kind,
  TypeInfo,
  getArgumentValues,
  getVariableValues,
  parse,
  visit,
  visitWithTypeInfo,
  type DocumentNode,
  type GraphQLSchema,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { membersOf } from '../../../core/json/json-value.ts';

type Arguments = Readonly<Record<string, unknown>>;

/**
 * With a VIN, what is registered of the vehicle fills what the context leaves out, and that changes by itself (see
 * subgraphs/shared/between-subgraphs/vehicle-facts.ts).
 */
function contextIsComplete({ context }: Arguments): boolean {
  const { vin, model, swVersion, region } = membersOf(context);
  return !vin || [model, swVersion, region].every((fact) => fact !== undefined && fact !== null);
}

/** Drafts come and go without a revision. */
function leavesDraftsOut({ filter }: Arguments): boolean {
  return membersOf(filter).draft !== true;
}

/**
 * Left out with reason: `Query.flag` (it may be a draft), statistics (`Flag.totalEvaluations` …), people, `updatedAt`
 * (which also moves where nothing that a vehicle sees does), history, experiments, change requests, rollouts, and
 * `flagSync` and `flagProof`, which hold the
 * time.
 */
export const GOVERNED: Readonly<Record<string, true | ((args: Arguments) => boolean)>> = {
  'Query.flags': leavesDraftsOut,
  'Query.evaluateFlag': contextIsComplete,
  'Query.evaluateFlags': contextIsComplete,
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
  ]),
  ...allOf('Rule', ['id', 'type', 'priority', 'enabled', 'conditions', 'value', 'variant', 'createdAt']),
  ...allOf('Evaluation', ['flagKey', 'value', 'variant', 'reason', 'ruleId', 'revision']),
};

function allOf(type: string, fields: readonly string[]): Record<string, true> {
  return Object.fromEntries(fields.map((field) => [`${type}.${field}`, true]));
}

export interface OperationCall {
  readonly sha256: string;
  /** The text, valid against the schema. */
  readonly body: string;
  /** As the request gives them. */
  readonly variables: Readonly<Record<string, unknown>>;
}

/** A function that says whether the answer to a call of a persisted operation is governed by revisions. */
export function revisionGoverned(schema: GraphQLSchema): (call: OperationCall) => boolean {
  /** By SHA-256: the document where it may be governed, and false where it cannot, whatever the variables. */
  const documents = new LRUCache<string, DocumentNode | false>({ max: 1_000 });
  return ({ sha256, body, variables }) => {
    let document = documents.get(sha256);
    if (document === undefined) {
      const parsed = parse(body, { noLocation: true });
      documents.set(sha256, (document = isListed(schema, parsed) && parsed));
    }
    return document !== false && argumentsAllow(schema, document, variables);
  };
}

function eachField(
  schema: GraphQLSchema,
  document: DocumentNode,
  look: (name: string, argumentsOf: (variables: Arguments) => Arguments) => void,
): void {
  const types = new TypeInfo(schema);
  visit(
    document,
    visitWithTypeInfo(types, {
      Field(node) {
        const [parent, field] = [types.getParentType(), types.getFieldDef()];
        // __typename says nothing that could change.
        if (node.name.value === '__typename') return;
        look(`${parent?.name}.${node.name.value}`, (variables) =>
          field ? getArgumentValues(field, node, { ...variables }) : {},
        );
      },
    }),
  );
}

function isListed(schema: GraphQLSchema, document: DocumentNode): boolean {
  let listed = true;
  eachField(schema, document, (name) => void (listed &&= Object.hasOwn(GOVERNED, name)));
  return listed;
}

function argumentsAllow(schema: GraphQLSchema, document: DocumentNode, variables: Arguments): boolean {
  const operation = document.definitions.find((node) => node.kind === Kind.OPERATION_DEFINITION);
  const { coerced } = getVariableValues(schema, operation?.variableDefinitions ?? [], variables);
  // What does not fit is refused when it runs.
  if (coerced === undefined) return false;
  let allowed = true;
  try {
    eachField(schema, document, (name, argumentsOf) => {
      const rule = GOVERNED[name];
      if (typeof rule === 'function') allowed &&= rule(argumentsOf(coerced));
    });
  } catch {
    // Null for a variable that has a default, where the argument takes none: refused when it runs, too.
    return false;
  }
  return allowed;
}
