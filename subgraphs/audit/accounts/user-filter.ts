/** The filter of a list of accounts. */
import type { Role } from '../../../core/access/caller.ts';
import { badInput } from '../../../core/errors.ts';
import { checkText } from '../../../core/json/json-value.ts';
import type { UserFilter } from '../generated/resolvers.ts';

/** A filter that has been checked. A member that is null selects every account. */
export interface ReadUserFilter {
  /** A part of the name, the e-mail or the department; not blank, without surrounding blanks. */
  readonly search: string | null;
  readonly role: Role | null;
  readonly isActive: boolean | null;
}

/** The most characters of a search, as for other lists. */
const MAX_SEARCH = 100;

function readSearch(given: string, field: string): string {
  const search = given.trim();
  checkText(search, field);
  if (search.length > MAX_SEARCH) throw badInput(field, `A search must have at most ${MAX_SEARCH} characters.`);
  return search;
}

/**
 * Reads a part of a name or an e-mail.
 *
 * @throws BAD_USER_INPUT at `field`, for a blank part as well
 */
export function readPersonPart(given: string, field: string): string {
  const part = readSearch(given, field);
  if (part === '') throw badInput(field, 'Give a part of a name or an e-mail.');
  return part;
}

/**
 * Reads a filter. A blank search selects every account.
 *
 * @throws BAD_USER_INPUT at `filter.search` for a text that no column can hold, or one that is too long
 */
export function readUserFilter({ search: given, role = null, isActive = null }: UserFilter): ReadUserFilter {
  const search = readSearch(given ?? '', 'filter.search');
  return { search: search === '' ? null : search, role, isActive };
}
