/**
 * The operators of user_attribute, except `exists`, which is about the attribute and not its value.
 *
 * Nothing is converted: `1` is not `"1"`, numbers are compared with numbers, and text with text by UTF-16 code
 * units. An object satisfies no operator. A list satisfies only `contains`, which finds text in it.
 */
import { badInput } from '../../errors.ts';
import type { JsonValue } from '../../model.ts';
import { readList, readNonBlank, readVersionRange } from './condition-fields.ts';

type Scalar = string | number | boolean;

/** Says whether an attribute that is present (not null) satisfies a comparison. */
export type AttributeTest = (value: Exclude<JsonValue, null>) => boolean;

type OperatorCompiler = (values: unknown, path: string) => AttributeTest;

function isScalar(value: unknown): value is Scalar {
  return typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number';
}

function readScalar(value: unknown, path: string): Scalar {
  if (!isScalar(value) || (typeof value === 'number' && !Number.isFinite(value)))
    throw badInput(path, 'Expected a string, a finite number, true or false.');
  return value;
}

function readOrdered(value: unknown, path: string): string | number {
  const scalar = readScalar(value, path);
  if (typeof scalar === 'boolean') throw badInput(path, 'Expected a string or a finite number.');
  return scalar;
}

function readOne<T>(values: unknown, path: string, readItem: (value: unknown, path: string) => T): T {
  const [item, ...others] = readList(values, path, readItem);
  if (others.length > 0) throw badInput(path, 'This operator requires exactly one value.');
  return item!;
}

const ordering =
  (holds: (left: string | number, right: string | number) => boolean): OperatorCompiler =>
  (values, path) => {
    const bound = readOne(values, path, readOrdered);
    return (value) =>
      (typeof value === 'string' || typeof value === 'number') && typeof value === typeof bound && holds(value, bound);
  };

/** Makes an operator that is satisfied by any of the values. `holds` compares the attribute with one of them. */
const anyOf =
  <T>(
    readItem: (value: unknown, path: string) => T,
    holds: (value: Exclude<JsonValue, null>, item: T) => boolean,
  ): OperatorCompiler =>
  (values, path) => {
    const items = [...readList(values, path, readItem)];
    return (value) => {
      for (const item of items) if (holds(value, item)) return true;
      return false;
    };
  };

const COMPILERS: Readonly<Record<string, OperatorCompiler>> = {
  eq: (values, path) => {
    const wanted = readOne(values, path, readScalar);
    return (value) => value === wanted;
  },
  ne: (values, path) => {
    const unwanted = readOne(values, path, readScalar);
    return (value) => isScalar(value) && value !== unwanted;
  },
  in: (values, path) => {
    const wanted: ReadonlySet<unknown> = readList(values, path, readScalar);
    return (value) => wanted.has(value);
  },
  not_in: (values, path) => {
    const unwanted = readList(values, path, readScalar);
    return (value) => isScalar(value) && !unwanted.has(value);
  },
  lt: ordering((left, right) => left < right),
  lte: ordering((left, right) => left <= right),
  gt: ordering((left, right) => left > right),
  gte: ordering((left, right) => left >= right),
  contains: anyOf(
    readNonBlank,
    (value, part) => (typeof value === 'string' || Array.isArray(value)) && value.includes(part),
  ),
  starts_with: anyOf(readNonBlank, (value, part) => typeof value === 'string' && value.startsWith(part)),
  ends_with: anyOf(readNonBlank, (value, part) => typeof value === 'string' && value.endsWith(part)),
  semver: anyOf(readVersionRange, (value, isInRange) => isInRange(value)),
};

/** The names of all operators. */
export const OPERATORS: readonly string[] = [...Object.keys(COMPILERS), 'exists'];

/**
 * Compiles an operator with its values to a test.
 *
 * @param operator one of OPERATORS but `exists`
 * @param values the values as written: exactly one for eq, ne, lt, lte, gt and gte, and at least one for the others
 * @throws BAD_USER_INPUT at the path of the first fault
 */
export function compileOperator(operator: string, values: unknown, path: string): AttributeTest {
  return COMPILERS[operator]!(values, path);
}
