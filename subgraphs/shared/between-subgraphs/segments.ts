/**
 * Segments with the vehicles that their tags select: a read-only view of two subgraphs' tables, the flags subgraph's
 * segments and the tags of the vehicles subgraph. docs/decisions/data/reading-another-subgraphs-table.md says why this
 * is a view and not a call.
 */
import { isJsonObject } from '../../../core/json/json-value.ts';
import { is } from '../../../core/json/shape.ts';
import type { JsonObject, Release, RuleDefinition } from '../../../core/model.ts';
import { segmentOf, tagsOf, type ResolvedSegment, type Segments } from '../../../core/evaluation/segments/segment.ts';
import { expandRules } from '../../../core/evaluation/segments/expand-rules.ts';
import type { Reader } from '../postgres/transaction.ts';
import { rowsOf } from '../postgres/rows.ts';

/** The most vehicles that tags may select for one segment, as in a whitelist. */
export const MAX_TAGGED = 10_000;

/** Gives the keys of the segments that rules name. */
export function segmentsIn(rules: readonly Pick<RuleDefinition, 'conditions'>[]): string[] {
  return [...new Set(rules.map(segmentOf).filter((key) => key !== null))];
}

/** Reads the VINs of the vehicles that have one of some tags, in order; at most one more than tags may select. */
async function taggedVins(db: Reader, tags: readonly string[]): Promise<string[]> {
  const rows = await rowsOf(db, { vin: is.string })`
    SELECT vin FROM vehicles WHERE tags && ${[...tags]}::text[] ORDER BY vin LIMIT ${MAX_TAGGED + 1}`;
  return rows.map(({ vin }) => vin);
}

/** Gives a segment of these conditions, with the vehicles that its tags select now. */
export async function resolveSegment(db: Reader, conditions: JsonObject): Promise<ResolvedSegment> {
  const tags = tagsOf(conditions);
  return { conditions, tagged: tags.length === 0 ? null : await taggedVins(db, tags) };
}

/** Reads segments by their keys; unknown keys are left out. */
export async function readSegments(db: Reader, keys: readonly string[]): Promise<Segments> {
  if (keys.length === 0) return new Map();
  const rows = await rowsOf(db, { key: is.string, conditions: isJsonObject })`
    SELECT key, conditions FROM segments WHERE key = ANY(${[...keys]}::text[])`;
  const segments = new Map<string, ResolvedSegment>();
  for (const { key, conditions } of rows) segments.set(key, await resolveSegment(db, conditions));
  return segments;
}

/** A flag, or what has rules like one, in the form that vehicles have: the new content of a release is beside them. */
interface Ruled {
  readonly rules: readonly RuleDefinition[];
  readonly release?: Release | null;
}

/** Gives the rules of both contents. */
const allRules = ({ rules, release }: Ruled) => [...rules, ...(release?.next.rules ?? [])];

/** Gives what has rules with what its segments say in place of their names, in the new content of a release, too. */
export function inSegments<Form extends Ruled>(form: Form, segments: Segments): Form {
  const { rules, release } = form;
  if (release == null) return { ...form, rules: expandRules(rules, segments) };
  const next = { ...release.next, rules: expandRules(release.next.rules, segments) };
  return { ...form, rules: expandRules(rules, segments), release: { ...release, next } };
}

/** Gives things that have rules with what their segments say now in place of their names. */
export async function withSegments<Form extends Ruled>(db: Reader, all: readonly Form[]): Promise<readonly Form[]> {
  const keys = segmentsIn(all.flatMap(allRules));
  if (keys.length === 0) return all;
  const segments = await readSegments(db, keys);
  return all.map((form) => inSegments(form, segments));
}
