/**
 * Last known good: the content of a flag that has proven itself in a vehicle, and when the vehicle may go back to it by
 * itself. Pure. Source: releases.md, "Last known good".
 */
import { createHash } from 'node:crypto';
import { nextContent } from '../evaluation/values/contract-fault.ts';
import { readRelease } from '../evaluation/release.ts';
import { isKilled } from '../evaluation/rules/kill-switch.ts';
import { canonicalJson } from '../json/canonical-json.ts';
import { isCount, isJsonObject, membersOf } from '../json/json-value.ts';
import type { EvaluationContext, FlagDefinition, JsonObject } from '../model.ts';
import { ownActivation, stricterActivation } from './activation.ts';

/** The seconds for which a content has to serve without a fault where nobody reports drives: a day. */
export const PROVING_SECONDS = 86_400;

const DIGEST_BYTES = 16;

/** The content of a definition that counts for one vehicle. */
export interface ContentInVehicle {
  /** A digest that is the same for the same content, whatever signature, revision or stage brings it. */
  readonly digest: string;
  /** Whether it is the new content of a release. */
  readonly isNext: boolean;
}

/**
 * Gives the content of a definition that counts for a vehicle: the new one in the ring of a release, else the stable
 * one. When the vehicle changes over, or by which kill switch the flag stops, is no part of it.
 *
 * @param vehicle the vehicle with its own facts
 */
export function contentInVehicle(definition: FlagDefinition, vehicle: EvaluationContext): ContentInVehicle {
  const flag: JsonObject = isJsonObject(definition) ? definition : {};
  const release = readRelease(flag['release']);
  const read = release === 'unreadable' ? null : release;
  if (read !== null && read.isIn(vehicle))
    return { digest: digestOf(flag, nextContent(flag, read.next)), isNext: true };
  return { digest: digestOf(flag, read?.isSwitchedOn === true ? null : flag), isNext: false };
}

/** Gives the digest of a content; null is that of a disabled flag. */
function digestOf({ type = null }: JsonObject, content: JsonObject | null): string {
  const { defaultValue = null, rules = [], requires, excludes, valueSchema } = content ?? {};
  const served = {
    defaultValue,
    rules,
    requires: requires ?? [],
    excludes: excludes ?? [],
    valueSchema: valueSchema ?? null,
  };
  return createHash('sha256')
    .update(canonicalJson([type, content === null ? null : served]))
    .digest()
    .subarray(0, DIGEST_BYTES)
    .toString('base64url');
}

/** Says whether a flag is killed or disabled. */
export function isStopped({ enabled, rules }: Pick<FlagDefinition, 'enabled' | 'rules'>): boolean {
  return !enabled || isKilled(rules);
}

/** The content of a flag that has proven itself. */
export interface GoodContent<Kept> {
  /** The digest of the content. */
  readonly content: string;
  /** The newest definition with this content that has been active. */
  readonly kept: Kept;
}

/** The record of the active content of a flag in a vehicle, and the last one that has proven itself. */
export interface ContentStanding<Kept> {
  /** The digest of the active content. */
  readonly content: string;
  /**
   * The seconds without reported drives for which it has served without a fault; below 0 where time before a fault is
   * still to be counted.
   */
  readonly servedSeconds: number;
  /** Whether it has served without a fault since the beginning of the drive. */
  readonly isWhole: boolean;
  /** The last known good; null where there is none. */
  readonly good: GoodContent<Kept> | null;
}

/**
 * Gives the standing of a flag whose active definition is `kept` from now on. Other content begins to prove itself; the
 * same content goes on, and where it is the last known good, its newest definition takes the place of the one before.
 *
 * @param before the standing until now; undefined for a flag that was not there, or was killed or disabled
 */
export function standingUnder<Kept>(
  before: ContentStanding<Kept> | undefined,
  content: string,
  kept: Kept,
): ContentStanding<Kept> {
  const same = before?.content === content ? before : null;
  const good = before?.good?.content === content ? { content, kept } : (before?.good ?? null);
  return { content, servedSeconds: same?.servedSeconds ?? 0, isWhole: same?.isWhole ?? false, good };
}

/**
 * Gives the standing after the content has served for some more seconds. Where nobody reports drives, a day makes it
 * the last known good.
 */
export function afterServing<Kept>(
  standing: ContentStanding<Kept>,
  seconds: number,
  drivesAreReported: boolean,
  kept: Kept,
): ContentStanding<Kept> {
  if (drivesAreReported) return standing;
  const served = { ...standing, servedSeconds: standing.servedSeconds + seconds };
  return served.servedSeconds >= PROVING_SECONDS ? withGood(served, kept) : served;
}

/** Gives the standing at the beginning of a drive. */
export function atDriveStart<Kept>(standing: ContentStanding<Kept>): ContentStanding<Kept> {
  return { ...standing, isWhole: true };
}

/**
 * Gives the standing at the end of a drive. Content that has served all of it without a fault is the last known good.
 */
export function atDriveEnd<Kept>(standing: ContentStanding<Kept>, kept: Kept): ContentStanding<Kept> {
  return { ...(standing.isWhole ? withGood(standing, kept) : standing), isWhole: false };
}

/**
 * Gives the standing after a fault under the active content. What has proven itself before stays.
 *
 * @param uncountedSeconds the seconds until the fault that `afterServing` is still to count; they prove nothing
 */
export function afterFault<Kept>(standing: ContentStanding<Kept>, uncountedSeconds: number): ContentStanding<Kept> {
  return { ...standing, servedSeconds: -uncountedSeconds, isWhole: false };
}

function withGood<Kept>(standing: ContentStanding<Kept>, kept: Kept): ContentStanding<Kept> {
  return { ...standing, good: { content: standing.content, kept } };
}

/** A return of a vehicle to a last known good, as it is before it is decided. */
export interface ReturnQuestion {
  /** The newest definition that the vehicle holds; null where this version cannot read it. */
  readonly held: FlagDefinition | null;
  /** The definition that is, or would be, left; it may be older than `held`. */
  readonly faulty: FlagDefinition;
  /** The digest of its content. */
  readonly content: string;
  /** The last known good; null where there is none. */
  readonly good: (Pick<GoodContent<unknown>, 'content'> & AgedDefinition) | null;
  /** The Unix seconds now. */
  readonly seconds: number;
}

/** A definition with its age. */
interface AgedDefinition {
  readonly definition: FlagDefinition;
  /** The Unix seconds at which it was last the proven one. */
  readonly cachedAt: number;
  readonly ttlSeconds: number;
}

/** A reason why a vehicle may not go back to a last known good. */
export type ReturnRefusal = 'STOPPED' | 'NO_GOOD' | 'SAME_CONTENT' | 'OTHER_TYPE' | 'BELOW' | 'TOO_OLD';

/**
 * Says why a vehicle may not go back to the last known good of a flag; null where it may. Never past a kill switch or a
 * disabling, never below the signed `noReturnBelow`, and never to what is older than its TTL.
 */
export function returnRefusal({ held, faulty, content, good, seconds }: ReturnQuestion): ReturnRefusal | null {
  if (isStopped(faulty) || (held !== null && isStopped(held))) return 'STOPPED';
  if (good === null) return 'NO_GOOD';
  if (good.content === content) return 'SAME_CONTENT';
  const { definition, cachedAt, ttlSeconds } = good;
  if (definition.type !== faulty.type) return 'OTHER_TYPE';
  if (definition.revision < Math.max(lowestReturn(held), lowestReturn(faulty))) return 'BELOW';
  return cachedAt <= 0 || seconds - cachedAt > ttlSeconds ? 'TOO_OLD' : null;
}

/** Gives the lowest revision to which a vehicle may go back. What this version cannot read forbids every return. */
function lowestReturn(definition: FlagDefinition | null): number {
  if (definition === null) return Infinity;
  const { noReturnBelow } = membersOf(definition);
  if (noReturnBelow === undefined || noReturnBelow === null) return 0;
  return isCount(noReturnBelow) ? noReturnBelow : Infinity;
}

/**
 * Gives the definition that a flag has after its return: the last known good with the dependencies of the content that
 * is left, its `killActivation`, and the stricter activation of both.
 *
 * @param isNext whether the content that is left is the new one of a release
 */
export function returnedDefinition(good: FlagDefinition, faulty: FlagDefinition, isNext: boolean): FlagDefinition {
  const { requires = [], excludes = [] } = (isNext ? faulty.release?.next : null) ?? faulty;
  const { release = null, ...content } = good;
  return {
    ...content,
    requires,
    excludes,
    release: release && { ...release, next: { ...release.next, requires, excludes } },
    activation: stricterActivation(ownActivation(good), ownActivation(faulty)),
    killActivation: faulty.killActivation ?? null,
  };
}
