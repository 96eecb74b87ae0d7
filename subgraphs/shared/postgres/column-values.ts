/**
 * Reads the values of columns as the domain's types. The database's CHECKs and the programs that write the rows make
 * them fit. A value that does not (of a newer version, or changed by hand) is an error that names the column and the
 * value, so that nothing goes on with a word that the domain does not know.
 */
import { isJsonObject, isOneOf } from '../../../core/json/json-value.ts';
import type { JsonObject, JsonValue } from '../../../core/model.ts';
import { Prisma } from '../../../prisma/generated/client.ts';

/**
 * A reader of a column whose values are words of the domain.
 *
 * @param column as `table.column`, for the error
 * @param words all that the column may hold
 * @returns the value as one of `words`; throws an Error for any other
 */
export function oneOf<const Word extends string>(column: string, words: readonly Word[]): (stored: string) => Word {
  return (stored) => {
    if (isOneOf(words, stored)) return stored;
    throw new Error(`${column} holds ${JSON.stringify(stored)}, which is none of ${words.join(', ')}`);
  };
}

/** A reader as `oneOf` makes it, of a column that may be null. */
export function oneOfOrNull<const Word extends string>(
  column: string,
  words: readonly Word[],
): (stored: string | null) => Word | null {
  const read = oneOf(column, words);
  return (stored) => (stored === null ? null : read(stored));
}

/**
 * Gives the value of a JSONB column. Prisma's own type says that members may be undefined, which JSON has no way to
 * say.
 */
export function storedJson(stored: Prisma.JsonValue): JsonValue {
  // oxlint-disable-next-line typescript/consistent-type-assertions -- the column's type allows nothing but JSON
  return stored as JsonValue;
}

/**
 * Gives the value of a JSONB column of objects.
 *
 * @param column as `table.column`, for the error
 * @throws Error where it holds something else
 */
export function storedObject(column: string, stored: Prisma.JsonValue): JsonObject {
  if (isJsonObject(stored)) return stored;
  throw new Error(`${column} holds ${JSON.stringify(stored)}, which is no object`);
}

/** A value for a JSONB column that is not null; JSON's null is one. */
export function jsonColumn(value: JsonValue): Prisma.InputJsonValue | typeof Prisma.JsonNull {
  return value === null ? Prisma.JsonNull : value;
}
