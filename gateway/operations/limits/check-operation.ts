/**
 * Checks whether an operation may run, for any caller: tokens, syntax, validity against the schema, and size. The
 * checks are the same for HTTP, for websockets and for operations that are registered to be run by their id.
 */
import {
  NoSchemaIntrospectionCustomRule,
  GraphQLError,
  getOperationAST,
  parse,
  specifiedRules,
  validate,
  type DocumentNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type ValidationRule,
} from 'graphql';
import { FleetFlagError } from '../../../core/errors.ts';
import { literalRule } from './literal-values.ts';
import { measureOperation, type OperationSize } from './measure-operation.ts';
import { OPERATION_LIMITS, type OperationLimit } from './operation-limits.ts';

/** The messages of the limits that a document can exceed whatever its variables are. */
const STRUCTURE = {
  depth: (limit) => `The operation nests fields more than ${limit} levels deep.`,
  aliases: (limit) => `The operation has more than ${limit} aliases.`,
  rootFields: (limit) => `The operation has more than ${limit} fields at its root.`,
  fields: (limit) =>
    `The operation has more than ${limit} fields; those of a fragment count each time that it is spread.`,
} as const satisfies Partial<Record<OperationLimit, (limit: number) => string>>;

const STRUCTURE_LIMITS = ['depth', 'aliases', 'rootFields', 'fields'] as const satisfies (keyof typeof STRUCTURE)[];

const exceeded = (limit: OperationLimit, message: string) =>
  new FleetFlagError('LIMIT_EXCEEDED', message, { limit: OPERATION_LIMITS[limit] });

/** Makes an error of GraphQL, which the libraries on the way to the client expect; see ../refusals/error-answer.ts. */
export function asGraphQLError(refusal: FleetFlagError): GraphQLError {
  return new GraphQLError(refusal.message, {
    originalError: refusal,
    extensions: { code: refusal.code, ...refusal.details },
  });
}

function firstExceeded(size: OperationSize): FleetFlagError | null {
  for (const limit of STRUCTURE_LIMITS) {
    if (size[limit] > OPERATION_LIMITS[limit]) return exceeded(limit, STRUCTURE[limit](OPERATION_LIMITS[limit]));
  }
  return null;
}

/** Limits the size of each operation of a document, for all values of its variables. */
const structureRule: ValidationRule = (context) => ({
  OperationDefinition(operation) {
    const document = context.getDocument();
    // A document is validated once for all values of its variables, so nothing may hide behind @include.
    const refusal = firstExceeded(measureOperation(context.getSchema(), document, withoutDefaults(operation), {}));
    if (refusal !== null) context.reportError(asGraphQLError(refusal));
    return false;
  },
});

function withoutDefaults(operation: OperationDefinitionNode): OperationDefinitionNode {
  return { ...operation, variableDefinitions: [] };
}

/**
 * Gives the rules of validation that are checked beside those of graphql-js.
 *
 * @param introspection whether clients may ask for the schema
 */
export function operationRules(introspection: boolean): ValidationRule[] {
  return [structureRule, literalRule, ...(introspection ? [] : [NoSchemaIntrospectionCustomRule])];
}

/** The parser's options for every text of a client. */
export const PARSE_OPTIONS = { maxTokens: OPERATION_LIMITS.tokens };

const TOO_MANY_TOKENS = /^Syntax Error: Document contains more that \d+ tokens\. Parsing aborted\.$/;

/** Gives the refusal of a document at whose limit of tokens the parser stopped; null for any other error. */
export function tokenRefusal(error: GraphQLError): FleetFlagError | null {
  return TOO_MANY_TOKENS.test(error.message)
    ? exceeded('tokens', `The document has more than ${OPERATION_LIMITS.tokens} tokens.`)
    : null;
}

/**
 * Throws LIMIT_EXCEEDED (as a GraphQLError) when the answer could hold more objects than it may. Gives how many it
 * could hold.
 *
 * @param variables as the request gives them, whether or not they fit
 */
export function refuseCost(
  schema: GraphQLSchema,
  operation: {
    document: DocumentNode;
    operation: OperationDefinitionNode;
    variables: Readonly<Record<string, unknown>>;
  },
): number {
  const { cost } = measureOperation(schema, operation.document, operation.operation, operation.variables);
  const limit = OPERATION_LIMITS.cost;
  if (cost > limit)
    throw asGraphQLError(exceeded('cost', `The answer could have more than ${limit} objects: request smaller pages.`));
  return cost;
}

/** The settings of a check. */
export interface CheckOptions {
  /** Whether clients may ask for the schema; names of it are suggested to them only then. */
  readonly introspection: boolean;
}

/** A document after the check. It may run when it has no errors. */
export interface CheckedDocument {
  /** Null when the text cannot be parsed. */
  readonly document: DocumentNode | null;
  readonly errors: readonly GraphQLError[];
}

/** Checks all but the cost, which depends on the variables. Never throws; without errors the document may run. */
export function checkDocument(text: string, schema: GraphQLSchema, { introspection }: CheckOptions): CheckedDocument {
  let document: DocumentNode;
  try {
    document = parse(text, PARSE_OPTIONS);
  } catch (error) {
    return { document: null, errors: asErrors(error) };
  }
  try {
    const rules = [...specifiedRules, ...operationRules(introspection)];
    return { document, errors: validate(schema, document, rules, { hideSuggestions: !introspection }) };
  } catch (error) {
    // graphql-js throws, instead of reporting, where a subscription's root field has a variable in @skip or @include.
    return { document, errors: asErrors(error) };
  }
}

function asErrors(error: unknown): GraphQLError[] {
  if (!(error instanceof GraphQLError)) return [new GraphQLError('The document cannot be validated.')];
  const refusal = tokenRefusal(error);
  return [refusal === null ? error : asGraphQLError(refusal)];
}

/**
 * Checks an operation that is to be registered: everything that can be said of it before it has variables (those of
 * page sizes count as their defaults, and are checked again whenever it runs).
 *
 * @returns what refuses it; empty when it may be registered
 */
export function checkOperation(
  text: string,
  schema: GraphQLSchema,
  options: CheckOptions & { readonly operationName?: string },
): readonly GraphQLError[] {
  const { document, errors } = checkDocument(text, schema, options);
  if (document === null || errors.length > 0) return errors;
  const operation = getOperationAST(document, options.operationName);
  if (operation == null)
    return [
      new GraphQLError('The document must have exactly one operation of this name.', {
        extensions: { code: 'BAD_USER_INPUT', field: 'operationName' },
      }),
    ];
  try {
    refuseCost(schema, { document, operation, variables: {} });
    return [];
  } catch (error) {
    return asErrors(error);
  }
}
