/**
 * Everything that vehicles may receive of one environment, at one revision. From a snapshot, changes since any earlier
 * revision are answered without the database, for the whole environment and for each partition. Pure. Reasons:
 * docs/decisions/streams/partitions.md.
 */
import type { Environment } from '../../../../core/model.ts';
import { jwsDigest, setDigest } from '../../../../core/wire/vehicle/proof.ts';
import type { Delta, Position } from '../sync-store.ts';
import { isObject, membersOf, parseJson } from '../../../../core/json/json-value.ts';
import { RevisionList } from './revision-list.ts';
import { entriesByKey, takeEntries } from './entries-by-key.ts';
import { advancedView, concernedBy, viewOfAll, type ChangedEntries, type SnapshotView } from './snapshot-view.ts';

/** An environment's content at one position. */
export interface EnvironmentSnapshot {
  readonly environment: Environment;
  readonly position: Position;
  /** The models that a scope has ever named: those that have a partition of their own. */
  readonly named: ReadonlySet<string>;
  /** The living flags, ascending by revision, each key once. */
  readonly definitions: RevisionList<Delta>;
  /** The sum of the checks of the living flags, as the database gives it. */
  readonly check: bigint;
  /** The tombstones, ascending by revision, each key once for each partition; also those that a later return hides. */
  readonly tombstones: RevisionList<Delta>;
  /** The highest revision at which a flag left whose tombstone may be missing here; 0 when none is missing. */
  readonly floor: number;
}

/**
 * The most tombstones in a snapshot. Definitions are bounded by the partitions' limits, but tombstones only grow: by
 * one for each key that leaves the environment, and by up to one for each partition when a scope is narrowed. A vehicle
 * that needs an older one gets its partition whole. 20,000 take about 10 MB.
 */
export const MAX_TOMBSTONES = 20_000;

/** The most characters of a stored snapshot; a larger one is not stored, and a starting instance reads the database. */
const MAX_STORED_LENGTH = 4_194_304;

/**
 * Checks whether two positions are the same point of the same history: after a restore, a revision number occurs again.
 */
export function samePosition(a: Position, b: Position): boolean {
  return a.revision === b.revision && a.changedAtMs === b.changedAtMs;
}

const NONE: ReadonlySet<string> = new Set();

/**
 * Creates a snapshot of `entries` (ascending by revision; each key with one definition at most, and one tombstone for
 * each partition). `floor` is the highest revision of a tombstone that was left out.
 */
export function snapshotOf(
  environment: Environment,
  position: Position,
  entries: readonly Delta[],
  named: ReadonlySet<string> = NONE,
  floor = 0,
): EnvironmentSnapshot {
  const definitions = entries.filter(({ removed }) => !removed);
  const tombstones = RevisionList.of(entries.filter(({ removed }) => removed));
  return {
    ...{ environment, position, named },
    ...{ definitions: RevisionList.of(definitions), check: sumOf(definitions) },
    ...bounded(tombstones, floor, oldest(tombstones)),
  };
}

/** Gives the sum of the checks of definitions. */
const sumOf = (definitions: readonly Delta[]): bigint =>
  definitions.reduce((sum, { check = 0 }) => sum + BigInt(check), 0n);

/** Gives the tombstones that are beyond the most in a snapshot. */
const oldest = (tombstones: RevisionList<Delta>): readonly Delta[] =>
  tombstones.first(tombstones.length - MAX_TOMBSTONES);

const bounded = (tombstones: RevisionList<Delta>, floor: number, dropped: readonly Delta[]) => ({
  tombstones: tombstones.replaced(dropped, []),
  floor: Math.max(floor, dropped.at(-1)?.revision ?? 0),
});

const placeOf = ({ key, partition = '' }: Pick<Delta, 'key' | 'partition'>) => `${partition}\n${key}`;

/**
 * Gives the snapshot after `changes`: the definitions and tombstones of all partitions after `snapshot`, ascending by
 * revision. Views of the snapshot before go over to it; those that no change concerns stay as they are, with their
 * digests. It visits the entries of the changed flags alone, however many there are.
 */
export function advanced(
  snapshot: EnvironmentSnapshot,
  position: Position,
  changes: readonly Delta[],
  named: ReadonlySet<string> = snapshot.named,
): EnvironmentSnapshot {
  const entries = takeEntries(snapshot);
  const keys = new Set(changes.map(({ key }) => key));
  const before = entries.of(keys);
  const changed = new Set<string>();
  const left = new Set<string>();
  for (const entry of changes) {
    if (entry.removed) left.add(placeOf(entry));
    else changed.add(entry.key);
  }
  const hasLeft = (key: string, partition: string) => left.has(placeOf({ key, partition }));
  // A flag that has left one of its own partitions, and is not among the changes, has left the environment.
  const past = before.definitions.filter(
    ({ key, scope = null }) =>
      changed.has(key) || hasLeft(key, '') || scope?.some((model) => hasLeft(key, model)) === true,
  );
  const replaced = before.tombstones.filter((entry) => hasLeft(entry.key, '') || left.has(placeOf(entry)));
  const present = changes.filter(({ removed }) => !removed);
  const gone = changes.filter(({ removed }) => removed);
  const tombstones = snapshot.tombstones.replaced(replaced, gone);
  const dropped = oldest(tombstones);
  const touched = new Set([...keys, ...dropped.map(({ key }) => key)]);
  const former = entries.of(touched);
  const next: EnvironmentSnapshot = {
    ...{ environment: snapshot.environment, position, named },
    ...{
      definitions: snapshot.definitions.replaced(past, present),
      check: snapshot.check - sumOf(past) + sumOf(present),
    },
    ...bounded(tombstones, snapshot.floor, dropped),
  };
  entries.remove([...past, ...replaced]);
  entries.add(changes);
  entries.remove(dropped);
  entriesByKey.set(next, entries);
  carryViews(snapshot, next, { before: former, after: entries.of(touched) });
  return next;
}

/** The views of snapshots that somebody has asked for, by partition; null is the whole environment. */
const views = new WeakMap<EnvironmentSnapshot, Map<string | null, SnapshotView>>();

/** Gives what receivers of a partition get; null for callers that are no vehicles, who get the whole environment. */
export function viewOf(snapshot: EnvironmentSnapshot, partition: string | null): SnapshotView {
  let known = views.get(snapshot);
  if (known === undefined) views.set(snapshot, (known = new Map<string | null, SnapshotView>()));
  let view = known.get(partition);
  if (view === undefined) known.set(partition, (view = viewOfAll(snapshot, partition)));
  return view;
}

function carryViews(before: EnvironmentSnapshot, next: EnvironmentSnapshot, changed: ChangedEntries): void {
  const known = views.get(before);
  if (known === undefined) return;
  const isConcerned = concernedBy(changed);
  views.set(
    next,
    new Map(
      Array.from(known, ([partition, view]) => [
        partition,
        isConcerned(partition) ? advancedView(view, partition, changed) : view,
      ]),
    ),
  );
}

/** Gives the entries after `since`, ascending by revision; null when the snapshot no longer has all of them. */
export function entriesSince(
  { floor }: Pick<EnvironmentSnapshot, 'floor'>,
  view: SnapshotView,
  since: number,
  tombstones: boolean,
): readonly Delta[] | null {
  if (tombstones && since < floor) return null;
  const source = tombstones ? view.entries : view.definitions;
  return since === 0 ? source.all : source.after(since);
}

/** Caches digests of signed forms, so that unchanged entries are not hashed again. */
const digests = new WeakMap<Delta, string>();
const sets = new WeakMap<SnapshotView, string>();

function digestOf(entry: Delta): string {
  let digest = digests.get(entry);
  if (digest === undefined) digests.set(entry, (digest = jwsDigest(entry.jws)));
  return digest;
}

/** Gives the digest of a view's definitions, as a proof contains it; computed once. */
export function setOf(view: SnapshotView): string {
  let set = sets.get(view);
  if (set === undefined) {
    set = setDigest(
      view.definitions.all.map((entry) => ({ key: entry.key, revision: entry.revision, digest: digestOf(entry) })),
    );
    sets.set(view, set);
  }
  return set;
}

/** Serialises the snapshot; null when it is too large for the store. */
export function writeSnapshot(snapshot: EnvironmentSnapshot): string | null {
  const { environment, position, named, definitions, tombstones, floor } = snapshot;
  const entries = [...definitions, ...tombstones];
  // Building the text of a large environment would cost more than the snapshot itself.
  let length = 0;
  for (const { jws } of entries) if ((length += jws.length) > MAX_STORED_LENGTH) return null;
  const text = JSON.stringify({ v: 2, environment, position, named: [...named], floor, entries });
  return text.length > MAX_STORED_LENGTH ? null : text;
}

function isPosition(value: unknown): value is Position {
  return isObject(value) && typeof value['revision'] === 'number' && typeof value['changedAtMs'] === 'number';
}

const isText = (value: unknown): value is string => typeof value === 'string';

function isDelta(value: unknown): value is Delta {
  if (!isObject(value)) return false;
  const { key, revision, removed, jws, scope = null, partition = '', check = 0 } = value;
  return (
    isText(key) &&
    typeof revision === 'number' &&
    typeof removed === 'boolean' &&
    isText(jws) &&
    isText(partition) &&
    typeof check === 'number' &&
    (scope === null || (Array.isArray(scope) && scope.every(isText)))
  );
}

/** Parses a stored snapshot; null when `text` is not one of `environment` at `position`. */
export function readSnapshot(text: string, environment: Environment, position: Position): EnvironmentSnapshot | null {
  let stored: unknown;
  try {
    stored = parseJson(text);
  } catch {
    return null;
  }
  const { v, environment: of, position: at, named, entries, floor } = membersOf(stored);
  if (v !== 2 || of !== environment || typeof floor !== 'number' || !Array.isArray(entries)) return null;
  if (!Array.isArray(named) || !named.every(isText)) return null;
  if (!isPosition(at) || !samePosition(at, position) || !entries.every(isDelta)) return null;
  return snapshotOf(environment, position, entries, new Set(named), floor);
}
