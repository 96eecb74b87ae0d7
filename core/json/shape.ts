/**
 * Guards that say which type a value from outside has: a row of a statement, an answer of another process. They take
 * the place of type assertions, which nothing checks.
 */
import type { JsonValue } from '../model.ts';
import { isJsonObject, isObject, isOneOf } from './json-value.ts';

/** Says whether a value has the type. */
export type Guard<T> = (value: unknown) => value is T;

/** The type that a guard proves. */
export type GuardedBy<G> = G extends ((value: unknown) => value is infer T) ? T : never;

/** The guards of an object's members, by name. */
export type Shape = Readonly<Record<string, Guard<unknown>>>;

/** An object whose members fit a shape. Members that the shape does not name are left as they are. */
export type Shaped<S extends Shape> = {
  readonly [Name in keyof S]: GuardedBy<S[Name]>;
};

/** Gives the name of the first member of `shape` that `value` does not fit; null where it fits all. */
function misfit(shape: Shape, value: Readonly<Record<string, unknown>>): string | null {
  for (const name in shape) if (shape[name]?.(value[name]) !== true) return name;
  return null;
}

/** The guards. `nullable`, `listOf`, `oneOf` and `shape` make further ones. */
export const is = {
  string: (value: unknown): value is string => typeof value === 'string',
  number: (value: unknown): value is number => typeof value === 'number',
  bigint: (value: unknown): value is bigint => typeof value === 'bigint',
  boolean: (value: unknown): value is boolean => typeof value === 'boolean',
  date: (value: unknown): value is Date => value instanceof Date,
  /** JSON that a parser has made. The content of an object or a list is not checked again. */
  json: (value: unknown): value is JsonValue =>
    value === null ||
    typeof value === 'string' ||
    typeof value === 'number' ||
    typeof value === 'boolean' ||
    Array.isArray(value) ||
    isObject(value),
  /** A JSON object that a parser has made. */
  jsonObject: isJsonObject,
  nullable:
    <T>(guard: Guard<T>): Guard<T | null> =>
    (value): value is T | null =>
      value === null || guard(value),
  /** A member that may be missing. */
  optional:
    <T>(guard: Guard<T>): Guard<T | undefined> =>
    (value): value is T | undefined =>
      value === undefined || guard(value),
  either:
    <A, B>(first: Guard<A>, second: Guard<B>): Guard<A | B> =>
    (value): value is A | B =>
      first(value) || second(value),
  oneOf:
    <const T>(values: readonly T[]): Guard<T> =>
    (value): value is T =>
      isOneOf(values, value),
  listOf:
    <T>(guard: Guard<T>): Guard<T[]> =>
    (value): value is T[] =>
      Array.isArray(value) && value.every(guard),
  /** An object that serves as a map: any names, values of one type. */
  recordOf:
    <T>(guard: Guard<T>): Guard<Record<string, T>> =>
    (value): value is Record<string, T> =>
      isObject(value) && Object.values(value).every(guard),
  shape:
    <const S extends Shape>(shape: S): Guard<Shaped<S>> =>
    (value): value is Shaped<S> =>
      isObject(value) && misfit(shape, value) === null,
} as const;

/** The type of a value, for errors. Never the value: it may be a secret or a person's. */
const typeOf = (value: unknown) => (value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value);

/**
 * Gives rows as what `shape` says they are.
 *
 * @param what names them in the error, such as `A row of a statement`
 * @throws Error that names the first member that does not fit
 */
export function readRows<const S extends Shape>(shape: S, rows: unknown, what: string): Shaped<S>[] {
  const fits = is.shape(shape);
  if (is.listOf(fits)(rows)) return rows;
  if (!Array.isArray(rows)) throw new Error(`${what}: expected a list of rows, got ${typeOf(rows)}`);
  const row: unknown = rows.find((one) => !fits(one));
  if (!isObject(row)) throw new Error(`${what}: expected an object, got ${typeOf(row)}`);
  const name = String(misfit(shape, row));
  throw new Error(`${what} holds ${typeOf(row[name])} in ${name}, which its reader does not accept`);
}
