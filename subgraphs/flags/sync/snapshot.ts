/**
 * All that vehicles may be sent of one environment, as it stood at one revision: from it, what changed since any
 * earlier revision is answered without asking the database. Pure.
 */
import type { Environment } from '../../../core/model.ts';
import { jwsDigest, setDigest } from '../../../core/wire/proof.ts';
import type { Delta, Position } from './sync-store.ts';

export interface EnvironmentSnapshot {
  readonly environment: Environment;
  readonly position: Position;
  /** The newest of each key, definitions and tombstones, ascending by revision. */
  readonly entries: readonly Delta[];
  /** The definitions among them: what a vehicle that has nothing is sent. */
  readonly definitions: readonly Delta[];
  /** Of flags that left at this revision or before, tombstones may be missing; 0: none is. */
  readonly floor: number;
}

/**
 * Definitions are bounded by the environment's limit; tombstones only ever grow, by one for each key that has left.
 * What is older than this many is asked of the database: 2,000 are about 700 KB.
 */
export const MAX_TOMBSTONES = 2_000;

/** Characters of a stored snapshot at most: the limit of definitions, twice, with room for tombstones. */
const MAX_STORED_LENGTH = 4_194_304;

/** Whether two positions are the same point of the same history: after a restore a revision comes a second time. */
export function samePosition(a: Position, b: Position): boolean {
  return a.revision === b.revision && a.changedAtMs === b.changedAtMs;
}

/**
 * A snapshot of `entries` (ascending by revision, a key once); `floor` is the highest revision of a tombstone that was
 * left out.
 */
export function snapshotOf(
  environment: Environment,
  position: Position,
  entries: readonly Delta[],
  floor = 0,
): EnvironmentSnapshot {
  const excess = entries.filter(({ removed }) => removed).slice(0, -MAX_TOMBSTONES);
  const dropped = new Set(excess);
  const kept = excess.length === 0 ? entries : entries.filter((entry) => !dropped.has(entry));
  return {
    environment,
    position,
    entries: kept,
    definitions: kept.filter(({ removed }) => !removed),
    floor: Math.max(floor, excess.at(-1)?.revision ?? 0),
  };
}

/**
 * The snapshot after `changes`: the newest of each key that changed after `snapshot`, tombstones included, ascending by
 * revision.
 */
export function advanced(
  snapshot: EnvironmentSnapshot,
  position: Position,
  changes: readonly Delta[],
): EnvironmentSnapshot {
  const changed = new Set(changes.map(({ key }) => key));
  const unchanged = snapshot.entries.filter(({ key }) => !changed.has(key));
  return snapshotOf(snapshot.environment, position, [...unchanged, ...changes], snapshot.floor);
}

/** What changed after `since`, ascending by revision; null where the snapshot no longer knows. */
export function entriesSince(
  snapshot: EnvironmentSnapshot,
  since: number,
  tombstones: boolean,
): readonly Delta[] | null {
  if (tombstones && since < snapshot.floor) return null;
  const source = tombstones ? snapshot.entries : snapshot.definitions;
  if (since === 0) return source;
  let [low, high] = [0, source.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((source[middle]?.revision ?? Infinity) > since) high = middle;
    else low = middle + 1;
  }
  return source.slice(low);
}

/** Digests of signed forms: what has not changed since the snapshot before is not hashed again. */
const digests = new WeakMap<Delta, string>();
const sets = new WeakMap<EnvironmentSnapshot, string>();

function digestOf(entry: Delta): string {
  let digest = digests.get(entry);
  if (digest === undefined) digests.set(entry, (digest = jwsDigest(entry.jws)));
  return digest;
}

/** The digest of the set of all definitions in the snapshot, as a proof commits to it; computed once. */
export function setOf(snapshot: EnvironmentSnapshot): string {
  let set = sets.get(snapshot);
  if (set === undefined) {
    set = setDigest(
      snapshot.definitions.map((entry) => ({ key: entry.key, revision: entry.revision, digest: digestOf(entry) })),
    );
    sets.set(snapshot, set);
  }
  return set;
}

/** The snapshot as text, or null where it is too large to be kept beside others'. */
export function writeSnapshot({ environment, position, entries, floor }: EnvironmentSnapshot): string | null {
  const text = JSON.stringify({ v: 1, environment, position, floor, entries });
  return text.length > MAX_STORED_LENGTH ? null : text;
}

/** The snapshot that `text` holds, or null where that is none of `environment` at `position`. */
export function readSnapshot(text: string, environment: Environment, position: Position): EnvironmentSnapshot | null {
  let stored: Partial<EnvironmentSnapshot & { v: unknown }> | null;
  try {
    stored = JSON.parse(text) as typeof stored;
  } catch {
    return null;
  }
  if (
    stored?.v !== 1 ||
    stored.environment !== environment ||
    !Array.isArray(stored.entries) ||
    typeof stored.floor !== 'number'
  )
    return null;
  if (stored.position === undefined || !samePosition(stored.position, position)) return null;
  return snapshotOf(environment, position, stored.entries as Delta[], stored.floor);
}
