/**
 * Releases: a change reaches the fleet in stages. While one is under way, a definition carries the stable content in
 * its usual place and the new one beside it, and the vehicle's ring decides which of them counts. Source: releases.md,
 * "Stages".
 */
import type { EvaluationContext, JsonObject, JsonValue, Release } from '../model.ts';
import { isJsonObject } from '../json/json-value.ts';
import { badInput } from '../errors.ts';
import { isKnownActivation } from '../activation/activation.ts';
import { bucketing } from './bucket.ts';
import { readNames, readNonBlank, readObject, readOptional, readRequired } from './rules/condition-fields.ts';
import { parseWhitelist, compileWhitelist } from './rules/vehicle-whitelist.ts';
import { readPercentage, thresholdOf } from './rules/percentage-rollout.ts';
import { whitelistDigest } from './rules/whitelist-digest.ts';

/** A release that is ready to be evaluated. */
export interface ReadRelease {
  /** Says whether the vehicle of a context gets the new content. Without a VIN none does. */
  readonly isIn: (context: EvaluationContext) => boolean;
  /** Whether vehicles without the new content have the flag as a disabled one. */
  readonly isSwitchedOn: boolean;
  /** The new content, not checked further. */
  readonly next: JsonObject;
}

const RELEASE_KEYS = ['id', 'percentage', 'canary', 'stable', 'next'] as const;
const CANARY_KEYS = ['vins', 'digests', 'models', 'regions'] as const;
/**
 * The members that a new content may have. Others are refused: one that is not known could narrow the content, so that
 * the rest alone would serve too much.
 */
const CONTENT_KEYS = ['defaultValue', 'rules', 'requires', 'excludes', 'valueSchema', 'activation'] as const;

type IsIn = ReadRelease['isIn'];

const NOBODY: IsIn = () => false;

function readContent(value: unknown, path: string): JsonObject {
  const content = readObject(value, path, CONTENT_KEYS);
  if (content['defaultValue'] === undefined) throw badInput(`${path}.defaultValue`, 'defaultValue is required.');
  if (!Array.isArray(content['rules'])) throw badInput(`${path}.rules`, 'Expected a list of rules.');
  if (!isKnownActivation(content['activation'])) throw badInput(`${path}.activation`, 'This activation is unknown.');
  return content;
}

/** Reads who gets the release first. Its VINs are a list of VINs or of digests, as in a whitelist. */
function readCanary(value: unknown, path: string, id: string): IsIn {
  if (value === null) return NOBODY;
  const canary = readObject(value, path, CANARY_KEYS);
  const ofModels = readOptional(canary, 'models', path, readNames);
  const ofRegions = readOptional(canary, 'regions', path, readNames);
  const { models: _models, regions: _regions, ...vehicles } = canary;
  const isListed =
    Object.keys(vehicles).length === 0
      ? NOBODY
      : compileWhitelist(parseWhitelist(vehicles, path), (vin) => whitelistDigest(releaseSalt(id), vin));
  return (context) =>
    // A whitelist reads no nonce.
    isListed(context, '') ||
    (typeof context.model === 'string' && ofModels?.has(context.model) === true) ||
    (typeof context.region === 'string' && ofRegions?.has(context.region) === true);
}

/** Gives the salt of a release's draw, and of the digests of its canary. */
export function releaseSalt(id: string): string {
  return `release:${id}`;
}

/**
 * Parses a release.
 *
 * @param release `{"id": "…", "percentage": 0…100, "canary"?: {"vins" | "digests"?, "models"?, "regions"?}, "stable"?:
 *   "DISABLED", "next": {"defaultValue": …, "rules": […], "requires"?, "excludes"?, "valueSchema"?, "activation"?}}`
 * @throws BAD_USER_INPUT at the path of the first fault, LIMIT_EXCEEDED
 */
export function parseRelease(release: unknown, path: string): ReadRelease {
  const object = readObject(release, path, RELEASE_KEYS);
  const id = readRequired(object, 'id', path, readNonBlank);
  const threshold = thresholdOf(readRequired(object, 'percentage', path, readPercentage));
  const isSwitchedOn = object['stable'] !== undefined;
  if (isSwitchedOn && object['stable'] !== 'DISABLED') throw badInput(`${path}.stable`, 'Expected "DISABLED".');
  const next = readRequired(object, 'next', path, readContent);
  const isCanary = object['canary'] === undefined ? NOBODY : readCanary(object['canary'], `${path}.canary`, id);
  const bucketOf = bucketing(releaseSalt(id));
  return {
    isSwitchedOn,
    next,
    isIn(context) {
      const { vin } = context;
      if (typeof vin !== 'string' || vin === '') return false;
      return bucketOf(vin) < threshold || isCanary(context);
    },
  };
}

/** Gives a release as vehicles get it: with digests in place of the canary's VINs. Its content stays as it is. */
export function signedRelease({ canary = null, ...release }: Release): Release {
  if (canary === null) return release;
  const { vins, ...others } = canary;
  if (vins === undefined) return { ...release, canary };
  const digests = vins.map((vin) => whitelistDigest(releaseSalt(release.id), vin)).sort();
  return { ...release, canary: { ...others, digests } };
}

/**
 * Reads the member `release` of a definition, whatever JSON it is. Never throws.
 *
 * @returns null for none; `unreadable` where this version does not understand it, so that nobody may be in it
 */
export function readRelease(release: JsonValue | undefined): ReadRelease | 'unreadable' | null {
  if (release === undefined || release === null) return null;
  try {
    return isJsonObject(release) ? parseRelease(release, 'release') : 'unreadable';
  } catch {
    return 'unreadable';
  }
}
