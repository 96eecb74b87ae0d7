/**
 * "percentage_rollout: `bucket = (murmur3_32(utf8("<salt>:<vin>"), seed 0) × 100000) >> 32`, matches when
 * `bucket < round(rollout_percentage × 1000)`. `salt` is the flag's key unless the conditions give one. `sticky:
 * false` mixes a nonce drawn at each agent start into the key. Optional `models`, `sw_version`, `regions` narrow it
 * as in vehicle_target. No context VIN: does not match." (design.md)
 */
import { badInput } from '../../errors.ts';
import { BUCKETS, bucketing } from '../bucket.ts';
import { readBoolean, readNonBlank, readObject, readOptional, readRequired, type Matcher } from './condition-fields.ts';
import { TARGET_KEYS, isTargeted, readTarget, type VehicleTarget } from './vehicle-target.ts';

const KEYS = ['rollout_percentage', 'sticky', 'salt', ...TARGET_KEYS] as const;

/** The conditions of a percentage rollout. */
export interface PercentageRollout {
  /** The bucket below which vehicles match: from 0 (none) to 100,000 (all). */
  readonly threshold: number;
  readonly sticky: boolean;
  /** The salt; where it is undefined, the flag's key is the salt. */
  readonly salt: string | undefined;
  readonly target: VehicleTarget;
}

/**
 * Reads a percentage.
 *
 * @throws BAD_USER_INPUT at `path` for anything but a number from 0 to 100
 */
export function readPercentage(value: unknown, path: string): number {
  if (typeof value !== 'number' || !(value >= 0 && value <= 100))
    throw badInput(path, 'Expected a number from 0 to 100.');
  return value;
}

/** Gives the bucket below which a percentage of the vehicles is. Golden cases fix that halves round up. */
export function thresholdOf(percentage: number): number {
  return Math.round(percentage * (BUCKETS / 100));
}

/**
 * Parses the conditions of a percentage rollout.
 *
 * @param conditions `{"rollout_percentage": 0…100, "sticky"?: boolean (true), "salt"?: "…", "models"?, "sw_version"?,
 *   "regions"?}`
 * @throws BAD_USER_INPUT at the path of the first fault, LIMIT_EXCEEDED
 */
export function parsePercentageRollout(conditions: unknown, path: string): PercentageRollout {
  const object = readObject(conditions, path, KEYS);
  const percentage = readRequired(object, 'rollout_percentage', path, readPercentage);
  return {
    threshold: thresholdOf(percentage),
    sticky: readOptional(object, 'sticky', path, readBoolean) ?? true,
    salt: readOptional(object, 'salt', path, readNonBlank),
    target: readTarget(object, path),
  };
}

/**
 * Compiles a percentage rollout to a matcher.
 *
 * @param flagKey the salt where the conditions name none
 */
export function compilePercentageRollout(rollout: PercentageRollout, flagKey: string): Matcher {
  const { threshold, sticky, target } = rollout;
  const bucketOf = bucketing(rollout.salt ?? flagKey);
  return (context, nonce) => {
    const { vin } = context;
    if (typeof vin !== 'string' || vin === '' || !isTargeted(target, context)) return false;
    return bucketOf(vin, sticky ? '' : nonce) < threshold;
  };
}
