/**
 * A change of a segment, inside a transaction: one change of all flags that name it, with consecutive revisions. Locks
 * are taken in one order by all changes: flags by id, then the segment, then environments. Source: scopes.md,
 * "Segments".
 */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import type { FlagDefinition, RuleDefinition } from '../../../core/model.ts';
import { tagsOf, type Segments } from '../../../core/evaluation/segments/segment.ts';
import { signedConditions } from '../../../core/evaluation/rules/whitelist-digest.ts';
import type { AuditAction } from '../../shared/audit/audit-log.ts';
import {
  MAX_TAGGED,
  inSegments,
  readSegments,
  resolveSegment,
  segmentsIn,
} from '../../shared/between-subgraphs/segments.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import type { ChangeSet, Resigning } from '../changes/sets/change-set.ts';
import { rulesOfContents, type Flag, type Rule } from '../flags/flag.ts';
import { vehicleForm } from '../flags/vehicle-form.ts';
import { lockFlags } from '../flags/flag-store.ts';
import { findFlagsById } from '../flags/reading/flag-reads.ts';
import { definitionIn } from '../signing/signing.ts';
import {
  contentOf,
  flagsNaming,
  holdSegments,
  lockSegment,
  noteTagChanges,
  tagChanges,
  writeSegment,
  type StoredSegment,
  type SegmentContent,
} from './segment.ts';

/** The flags that name a segment, and the segment, all locked. */
export interface LockedSegment {
  readonly present: StoredSegment | null;
  readonly flags: readonly Flag[];
}

const conflict = (key: string, what: string, field = 'key') =>
  new FleetFlagError('CONFLICT', `The segment ${key} ${what}`, { field });

/** Says whether vehicles have a flag. */
export const isLiving = ({ archivedAt, draft }: Flag): boolean => archivedAt === null && !draft;

/**
 * Locks a segment and the flags that name it.
 *
 * @throws CONFLICT where a flag has begun to name it meanwhile
 */
export async function lockWithFlags(tx: Transaction, key: string): Promise<LockedSegment> {
  const ids = async () => (await flagsNaming(tx, [key])).map(({ flagId }) => flagId);
  const named = await ids();
  await lockFlags(tx, named);
  const present = await lockSegment(tx, key);
  if (canonicalJson(await ids()) !== canonicalJson(named))
    throw conflict(key, 'was named by another flag, or no longer by one, at the same moment; try again.');
  return { present, flags: named.length === 0 ? [] : await findFlagsById(tx, named) };
}

/** A flag whose segments are checked. */
export interface NamingFlag {
  /** The flag before the change; null for a new flag. */
  readonly before: Flag | null;
  readonly flag: Flag;
  /** The argument that names a segment. */
  readonly field: string;
}

/**
 * Refuses changes of flags that would name segments in a way that must not be. Checks only segments that a flag did not
 * name before: those that it names are kept from being deleted, and their change locks the flag.
 *
 * @throws BAD_USER_INPUT for a segment that does not exist; CONFLICT for one with tags in an ASIL-D flag
 */
export async function checkSegments(tx: Transaction, changes: readonly NamingFlag[]): Promise<void> {
  const [fault] = await segmentFaults(changes, (keys) => holdSegments(tx, keys));
  if (fault !== undefined) throw fault;
}

/**
 * Gives what `checkSegments` would refuse, one fault for each change at most.
 *
 * @param read gives segments by key, without the unknown ones
 */
export async function segmentFaults(
  changes: readonly NamingFlag[],
  read: (keys: readonly string[]) => Promise<readonly StoredSegment[]>,
): Promise<FleetFlagError[]> {
  const naming = changes.flatMap(({ before, flag, field }) => {
    const isRaised = flag.safetyLevel === 'ASIL-D' && before?.safetyLevel !== 'ASIL-D';
    const known = before === null || isRaised ? [] : segmentsIn(before.rules);
    const keys = segmentsIn(flag.rules).filter((key) => !known.includes(key));
    return keys.length === 0 ? [] : [{ flag, field, keys }];
  });
  if (naming.length === 0) return [];
  const found = await read([...new Set(naming.flatMap(({ keys }) => keys))]);
  const segments = new Map(found.map((segment) => [segment.key, segment]));
  return naming.flatMap(({ flag, field, keys }) => {
    const missing = keys.find((key) => !segments.has(key));
    if (missing !== undefined) return badInput(field, `There is no segment ${JSON.stringify(missing)}.`);
    if (flag.safetyLevel !== 'ASIL-D') return [];
    const tagged = keys.find((key) => tagsOf(segments.get(key)?.conditions ?? {}).length > 0);
    return tagged === undefined ? [] : tagsOfSafetyFlag(tagged, flag.key, field);
  });
}

/** The refusal of tags where one person alone would decide which vehicles get an ASIL-D flag's rules. */
function tagsOfSafetyFlag(segment: string, flag: string, field: string): FleetFlagError {
  return new FleetFlagError(
    'CONFLICT',
    `The segment ${segment} selects vehicles by tags, which one person alone can change, and ${flag} is ASIL-D. Name the vehicles in the segment instead.`,
    { field },
  );
}

/**
 * Checks a segment before it is written.
 *
 * @throws LIMIT_EXCEEDED, CONFLICT at `conditions.tags`
 */
async function checkTags(tx: Transaction, { key, conditions }: SegmentContent, flags: readonly Flag[]): Promise<void> {
  const tags = tagsOf(conditions);
  if (tags.length === 0) return;
  const safety = flags.find(({ safetyLevel }) => safetyLevel === 'ASIL-D');
  if (safety !== undefined) throw tagsOfSafetyFlag(key, safety.key, 'conditions.tags');
  const tagged = (await resolveSegment(tx, conditions)).tagged ?? [];
  if (tagged.length > MAX_TAGGED)
    throw new FleetFlagError(
      'LIMIT_EXCEEDED',
      `The tags of the segment ${key} select more than ${MAX_TAGGED} vehicles, the most of a whitelist.`,
      { field: 'conditions.tags', limit: MAX_TAGGED },
    );
}

/** Gives rules with the types and conditions of a signed definition, each in the form that vehicles get. */
function inForm(own: readonly Rule[], rules: readonly RuleDefinition[]): Rule[] {
  const signed = new Map(rules.map((rule) => [rule.id, { type: rule.type, conditions: signedConditions(rule) }]));
  return own.map((rule) => ({ ...rule, ...signed.get(rule.id) }));
}

/**
 * Gives a flag with the rules of this definition, for a release also in what it keeps for vehicles outside its ring.
 */
function withRulesOf(flag: Flag, { rules, release = null }: FlagDefinition): Flag {
  if (flag.release === null) return { ...flag, rules: inForm(flag.rules, rules) };
  const stable = { ...flag.release.stable, rules: inForm(flag.release.stable.rules, rules) };
  return {
    ...flag,
    rules: inForm(flag.rules, release?.next.rules ?? []),
    release: { ...flag.release, stable },
  };
}

const rulesOf = (flag: Flag): string =>
  canonicalJson(rulesOfContents(flag).map(({ id, type, conditions }) => ({ id, type, conditions })));

/** Gives the forms of a flag around a change of segments; null where vehicles would get the same. */
function formsOf(flag: Flag, segments: Segments): Resigning['forms'] {
  const before = withRulesOf(flag, definitionIn(flag.signedDefinition));
  const after = withRulesOf(flag, inSegments(vehicleForm(flag), segments));
  return rulesOf(before) === rulesOf(after) ? null : { before, after };
}

/**
 * Gives the living flags of a segment, to be signed again for it.
 *
 * @param content what the segment will be
 */
async function signedAgain(
  tx: Transaction,
  action: AuditAction,
  flags: readonly Flag[],
  { key, conditions }: SegmentContent,
): Promise<Resigning[]> {
  const living = flags.filter(isLiving).sort((a, b) => (a.environment + a.key < b.environment + b.key ? -1 : 1));
  const named = new Set(living.flatMap((flag) => segmentsIn(rulesOfContents(flag))));
  named.delete(key);
  const segments: Segments = new Map([
    ...(await readSegments(tx, [...named])),
    [key, await resolveSegment(tx, conditions)],
  ]);
  return living.map((resigned) => ({
    resigned,
    forms: formsOf(resigned, segments),
    entry: { action, before: { segment: key, revision: resigned.revision }, after: { segment: key } },
  }));
}

/**
 * Gives a change of a segment as one set of changes of all flags that name it. The caller holds the locks of
 * `lockWithFlags`.
 */
export async function segmentSet(
  tx: Transaction,
  { present, flags }: LockedSegment,
  content: SegmentContent,
  force: boolean,
): Promise<ChangeSet> {
  // The count comes before vehicles are read: a tag that changes in between is then checked once more.
  const changes = await tagChanges(tx, content.conditions);
  await checkTags(tx, content, flags);
  return {
    ...{ environment: null, force },
    changes: await signedAgain(tx, 'SAVE_SEGMENT', flags, content),
    shared: {
      ...{ action: 'SAVE_SEGMENT', before: present === null ? null : contentOf(present), after: contentOf(content) },
      ...{ isRecorded: true, write: (by) => writeSegment(tx, content, changes, by) },
    },
  };
}

/** Gives the set that signs the flags of a segment again for the vehicles that its tags select now; null for none. */
export async function refreshSet(tx: Transaction, { present, flags }: LockedSegment): Promise<ChangeSet | null> {
  if (present === null) return null;
  // The count comes before vehicles are read, as in segmentSet.
  const changes = await tagChanges(tx, present.conditions);
  return {
    environment: null,
    // The tags are changed already; an experiment that this disturbs notes it.
    force: true,
    changes: await signedAgain(tx, 'REFRESH_SEGMENT', flags, present),
    shared: {
      ...{ action: 'REFRESH_SEGMENT', before: null, after: null },
      ...{ isRecorded: false, write: () => noteTagChanges(tx, present.key, changes) },
    },
  };
}

/** Gives the flags whose rules name a segment, by key, for refusals. */
export const namesOf = (flags: readonly Flag[]): string =>
  flags
    .map(({ key }) => key)
    .sort()
    .join(', ');
