/**
 * Everything that vehicles may receive of one environment, at one revision. From a snapshot, changes since any earlier
 * revision are answered without the database. Pure.
 */
import type { Environment } from '../../../core/model.ts';
import { jwsDigest, setDigest } from '../../../core/wire/proof.ts';
import type { Delta, Position } from './sync-store.ts';
import { isObject, membersOf, parseJson } from '../../../core/json/json-value.ts';

/** An environment's content at one position. */
export interface EnvironmentSnapshot {
  readonly environment: Environment;
  readonly position: Position;
  /** The newest entry of each key, definitions and tombstones, ascending by revision. */
  readonly entries: readonly Delta[];
  /** The definitions among them, which a vehicle without any flags receives. */
  readonly definitions: readonly Delta[];
  /** The highest revision at which a flag left whose tombstone may be missing here; 0 when none is missing. */
  readonly floor: number;
}

/**
 * The most tombstones in a snapshot. Definitions are bounded by the environment's limit, but tombstones only grow, by
 * one for each key that has left. Older ones are read from the database; 2,000 take about 700 KB.
 */
export const MAX_TOMBSTONES = 2_000;

/** The most characters of a stored snapshot: twice the limit of definitions, which leaves room for tombstones. */
const MAX_STORED_LENGTH = 4_194_304;

/**
 * Checks whether two positions are the same point of the same history: after a restore, a revision number occurs again.
 */
export function samePosition(a: Position, b: Position): boolean {
  return a.revision === b.revision && a.changedAtMs === b.changedAtMs;
}

/**
 * Creates a snapshot of `entries` (ascending by revision, each key once). `floor` is the highest revision of a
 * tombstone that was left out.
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
 * Gives the snapshot after `changes`: the newest entry of each key that changed after `snapshot`, tombstones included,
 * ascending by revision.
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

/** Gives the entries after `since`, ascending by revision; null when the snapshot no longer has all of them. */
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

/** Caches digests of signed forms, so that unchanged entries are not hashed again. */
const digests = new WeakMap<Delta, string>();
const sets = new WeakMap<EnvironmentSnapshot, string>();

function digestOf(entry: Delta): string {
  let digest = digests.get(entry);
  if (digest === undefined) digests.set(entry, (digest = jwsDigest(entry.jws)));
  return digest;
}

/** Gives the digest of the snapshot's definitions, as a proof contains it; computed once. */
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

/** Serialises the snapshot; null when it is too large for the store. */
export function writeSnapshot({ environment, position, entries, floor }: EnvironmentSnapshot): string | null {
  const text = JSON.stringify({ v: 1, environment, position, floor, entries });
  return text.length > MAX_STORED_LENGTH ? null : text;
}

function isPosition(value: unknown): value is Position {
  return isObject(value) && typeof value['revision'] === 'number' && typeof value['changedAtMs'] === 'number';
}

function isDelta(value: unknown): value is Delta {
  if (!isObject(value)) return false;
  const { key, revision, removed, jws } = value;
  return (
    typeof key === 'string' && typeof revision === 'number' && typeof removed === 'boolean' && typeof jws === 'string'
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
  const { v, environment: of, position: at, entries, floor } = membersOf(stored);
  if (v !== 1 || of !== environment || typeof floor !== 'number' || !Array.isArray(entries)) return null;
  if (!isPosition(at) || !samePosition(at, position) || !entries.every(isDelta)) return null;
  return snapshotOf(environment, position, entries, floor);
}
