/**
 * Searching flags by typed text. It matches whole words of name and description, as a search engine does. Without
 * operators it also matches parts of words and keys; then every term must match.
 */
import { Prisma } from '../../../../prisma/generated/client.ts';
import type { FlagFilter } from '../../generated/resolvers.ts';
import { ACTIVE } from '../../rollouts/rollout.ts';

/** The least characters of a term that has trigrams. Shorter terms are matched only where words begin. */
const SHORTEST_PART = 3;

/** A quote, a minus before a word, or `or` between words. A person who types one searches for words. */
const OPERATOR = /"|(?:^|\s)-|\sor\s/i;
/** The same characters as in the index. Terms contain none of them, and so no wildcards of LIKE. */
const PUNCTUATION = /[!-/:-@[-`{-~\s]+/g;
/**
 * Kana, Chinese characters and Korean syllables. As in the index, each is doubled, so that a word of two of them is
 * long enough for trigrams.
 */
const SYLLABLE = /[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]/g;

/** Must equal the index's expression, or the index is not used (idx_flags_search_parts). */
const PARTS = Prisma.raw(
  String.raw`regexp_replace(regexp_replace(lower(' ' || key || ' ' || name || ' ' || COALESCE(description, '')), '[!-/:-@[-${'`'}{-~\s]+', ' ', 'g'), '[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]', '\&\&', 'g')`,
);

/**
 * Gives LIKE patterns that match anywhere in key, name and description; a short term matches only where words begin.
 */
function patternsOf(search: string): string[] {
  if (OPERATOR.test(search)) return [];
  const terms = search
    .split(/\s+/)
    .map((term) => term.replaceAll(PUNCTUATION, ' ').trim().replaceAll(SYLLABLE, '$&$&'))
    .filter((term) => term !== '');
  return [...new Set(terms)].map((term) => (Array.from(term).length < SHORTEST_PART ? `% ${term}%` : `%${term}%`));
}

function textCondition(search: string): Prisma.Sql {
  // One minus excludes a word. Several in a row mean nothing, and PostgreSQL would use stack for each of them.
  const words = search.replaceAll(/-(?:\s*-)+/g, ' ');
  // Must equal the index's expression here, too (database.md, section 4).
  const asWords = Prisma.sql`to_tsvector('english', name || ' ' || COALESCE(description, '')) @@ websearch_to_tsquery('english', ${words})`;
  const patterns = patternsOf(words);
  if (patterns.length === 0) return asWords;
  const asParts = Prisma.join(
    patterns.map((pattern) => Prisma.sql`${PARTS} LIKE lower(${pattern})`),
    ' AND ',
  );
  return Prisma.sql`(${asWords} OR (${asParts}))`;
}

function setOf({ archived, draft }: FlagFilter): Prisma.Sql {
  if (draft === true) return Prisma.sql`draft`;
  return archived === true ? Prisma.sql`archived_at IS NOT NULL AND NOT draft` : Prisma.sql`archived_at IS NULL`;
}

/** The days without an evaluation after which a flag counts as stale: as many as vehicles count as its active ones. */
const STALE_DAYS = 30;
const STALE = Prisma.sql`(GREATEST(last_evaluation_at, created_at) < now() - make_interval(days => ${STALE_DAYS}::int))`;

const whether = (wanted: boolean, condition: Prisma.Sql) => (wanted ? condition : Prisma.sql`NOT ${condition}`);

/** Gives the search as an SQL condition on `flags`. */
export function searchCondition(search: FlagFilter): Prisma.Sql {
  const { environment, enabled, safetyLevel, type, keyPrefix, killed, hasRollout, hasRelease, releaseHolds, stale } =
    search;
  const filters = [setOf(search)];
  if (environment) filters.push(Prisma.sql`environment = ${environment}`);
  if (typeof enabled === 'boolean') filters.push(Prisma.sql`enabled = ${enabled}`);
  if (safetyLevel) filters.push(Prisma.sql`safety_level = ${safetyLevel}`);
  if (type) filters.push(Prisma.sql`type = ${type}`);
  if (keyPrefix) filters.push(Prisma.sql`starts_with(key, ${keyPrefix})`);
  if (typeof killed === 'boolean')
    filters.push(
      whether(
        killed,
        Prisma.sql`EXISTS (SELECT 1 FROM rules r WHERE r.flag_id = flags.id AND r.type = 'kill_switch' AND r.enabled)`,
      ),
    );
  if (typeof hasRollout === 'boolean')
    filters.push(
      whether(
        hasRollout,
        Prisma.sql`EXISTS (SELECT 1 FROM rollouts r WHERE r.flag_id = flags.id AND r.status IN (${Prisma.join([...ACTIVE])}))`,
      ),
    );
  if (typeof hasRelease === 'boolean') filters.push(whether(hasRelease, Prisma.sql`(release IS NOT NULL)`));
  if (typeof releaseHolds === 'boolean')
    filters.push(
      whether(
        releaseHolds,
        Prisma.sql`EXISTS (SELECT 1 FROM releases r WHERE r.flag_id = flags.id AND r.ended_at IS NULL AND r.status = 'holding')`,
      ),
    );
  if (typeof stale === 'boolean') filters.push(whether(stale, STALE));
  if (search.search) filters.push(textCondition(search.search));
  return Prisma.join(filters, ' AND ');
}
