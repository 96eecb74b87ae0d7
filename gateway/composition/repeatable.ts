/** Operations that may be sent to a subgraph twice. */
import { Kind, OperationTypeNode, parse } from 'graphql';
import { LRUCache } from 'lru-cache';

/**
 * Mutations that do the same once and twice: a heartbeat is the vehicle's latest state, a fault is stored once by
 * vehicle, flag, revision and kind, and measurements count once by vehicle, batch and position
 * (docs/decisions/experiments/counting-once.md).
 */
const REPEATABLE_MUTATIONS: ReadonlySet<string> = new Set(['agentHeartbeat', 'reportFaults', 'reportMetrics']);

const known = new LRUCache<string, boolean>({
  max: 1_000,
  maxSize: 1_048_576,
  sizeCalculation: (_, text) => text.length + 1,
});

/**
 * Says whether an operation may be sent again when its connection was lost before an answer came: queries may, and
 * mutations that do the same twice. A text that cannot be read may not.
 */
export function isRepeatable(query: string): boolean {
  let repeatable = known.get(query);
  if (repeatable === undefined) known.set(query, (repeatable = readRepeatable(query)));
  return repeatable;
}

function readRepeatable(query: string): boolean {
  let document;
  try {
    document = parse(query, { noLocation: true });
  } catch {
    return false;
  }
  return document.definitions.every(
    (definition) =>
      definition.kind === Kind.FRAGMENT_DEFINITION ||
      (definition.kind === Kind.OPERATION_DEFINITION &&
        (definition.operation === OperationTypeNode.QUERY ||
          definition.selectionSet.selections.every(
            (field) => field.kind === Kind.FIELD && REPEATABLE_MUTATIONS.has(field.name.value),
          ))),
  );
}
