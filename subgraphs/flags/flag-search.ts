/**
 * Finding flags by what somebody types: whole words of name and description as a search engine finds them, and parts
 * of words and keys, which every term of a search without operators has to be.
 */
import { Prisma } from '../../prisma/generated/client.ts';

/** A trigram index has nothing to find shorter terms by, but where words begin. */
const SHORTEST_PART = 3;

/** A quote, a minus before a word, and `or` between words: whoever types them asks for words. */
const OPERATOR = /"|(?:^|\s)-|\sor\s/i;
/** As in the index. Nothing of it is left in a term, and so nothing that LIKE would take for a wildcard. */
const PUNCTUATION = /[!-/:-@[-`{-~\s]+/g;

/** The index's own expression, or the index is not used (idx_flags_search_parts). */
const PARTS = Prisma.raw(String.raw`regexp_replace(lower(' ' || key || ' ' || name || ' ' || COALESCE(description, '')), '[!-/:-@[-${'`'}{-~\s]+', ' ', 'g')`);

/** What is looked for anywhere in key, name and description; a short term is looked for where words begin. */
function patternsOf(search: string): string[] {
  if (OPERATOR.test(search)) return [];
  const terms = search.split(/\s+/).map((term) => term.replaceAll(PUNCTUATION, ' ').trim()).filter((term) => term !== '');
  return [...new Set(terms)].map((term) => (Array.from(term).length < SHORTEST_PART ? `% ${term}%` : `%${term}%`));
}

/** The condition on `flags` that a text searches by; null where it searches by nothing. */
export function searchCondition(search: string | null | undefined): Prisma.Sql | null {
  if (!search) return null;
  // One minus takes a word away; of more of them in a row, which PostgreSQL counts on a stack, none means anything.
  const words = search.replaceAll(/-(?:\s*-)+/g, ' ');
  // The index's own expression here, too (database.md, section 4).
  const asWords = Prisma.sql`to_tsvector('english', name || ' ' || COALESCE(description, '')) @@ websearch_to_tsquery('english', ${words})`;
  const patterns = patternsOf(words);
  if (patterns.length === 0) return asWords;
  const asParts = Prisma.join(patterns.map((pattern) => Prisma.sql`${PARTS} LIKE lower(${pattern})`), ' AND ');
  return Prisma.sql`(${asWords} OR (${asParts}))`;
}
