/** Loaders that all requests of a subgraph share. */
import DataLoader from 'dataloader';
import { withTimeout } from '../../../core/async/timeout.ts';

/** The most keys of one statement. */
const MAX_KEYS = 1_000;
/** Milliseconds after which the next statement no longer waits for one that does not end. */
const STATEMENT_TIMEOUT_MS = 1_000;

/** Loads values by key. */
export type SharedLoader<Key, Value> = Pick<DataLoader<Key, Value>, 'load'>;

/** Calls `send` in a later turn of the event loop, after `underWay` has settled. `underWay` must never reject. */
function sendAfter(underWay: PromiseLike<unknown>, send: () => void): void {
  const next = () => setImmediate(send);
  underWay.then(next, next);
}

/**
 * Creates a loader that has one `find` under way at a time. What is asked for meanwhile, by any request, shares the
 * next one: the cost does not grow with the number of callers. Nothing is cached, so each value comes from a read that
 * began after it was asked for. A `find` that does not end, on a connection that has died in silence, keeps its own
 * callers waiting and the others for a moment only.
 *
 * @param find gives the values of the keys, each key once
 * @param keyOf gives the text that distinguishes keys
 * @param timeoutMs milliseconds after which the next one no longer waits; a second by default
 */
export function sharedLoader<Key, Value>(
  find: (keys: readonly Key[]) => Promise<ReadonlyMap<string, Value>>,
  keyOf: (key: Key) => string,
  timeoutMs = STATEMENT_TIMEOUT_MS,
): SharedLoader<Key, Value | null> {
  let underWay: PromiseLike<unknown> = Promise.resolve();
  return new DataLoader<Key, Value | null>(
    async (keys) => {
      const distinct = new Map(keys.map((key) => [keyOf(key), key]));
      const finding = find([...distinct.values()]);
      underWay = withTimeout(timeoutMs, 'The statement does not end.', () => finding).catch(() => undefined);
      const found = await finding;
      return keys.map((key) => found.get(keyOf(key)) ?? null);
    },
    { cache: false, maxBatchSize: MAX_KEYS, batchScheduleFn: (send) => sendAfter(underWay, send) },
  );
}

/** Creates such a loader of what has an id; `find` leaves unknown ids out. */
export function sharedLoaderById<T extends { readonly id: string }>(
  find: (ids: readonly string[]) => Promise<readonly T[]>,
): SharedLoader<string, T | null> {
  return sharedLoader(
    async (ids) => new Map((await find(ids)).map((item) => [item.id, item])),
    (id) => id,
  );
}

/** A field of one of many rows, with the field's arguments. */
export interface FieldOfRow<Arguments> {
  readonly id: string;
  readonly given: Arguments;
}

/**
 * Creates such a loader of a field that takes arguments: the same field of many rows is read with one `find` for each
 * set of arguments.
 *
 * @param find gives the values by the rows' ids
 * @param textOf gives the text that distinguishes arguments
 */
export function sharedFieldLoader<Arguments, Value>(
  find: (ids: readonly string[], given: Arguments) => Promise<ReadonlyMap<string, Value>>,
  textOf: (given: Arguments) => string,
): SharedLoader<FieldOfRow<Arguments>, Value | null> {
  const keyOf = ({ id, given }: FieldOfRow<Arguments>) => `${id} ${textOf(given)}`;
  return sharedLoader(async (fields: readonly FieldOfRow<Arguments>[]) => {
    const alike = new Map<string, { readonly given: Arguments; readonly ids: string[] }>();
    for (const { id, given } of fields) {
      const text = textOf(given);
      const group = alike.get(text);
      if (group === undefined) alike.set(text, { given, ids: [id] });
      else group.ids.push(id);
    }
    const read = Array.from(alike.values(), async ({ given, ids }) =>
      Array.from(await find(ids, given), ([id, value]) => [keyOf({ id, given }), value] as const),
    );
    return new Map((await Promise.all(read)).flat());
  }, keyOf);
}
