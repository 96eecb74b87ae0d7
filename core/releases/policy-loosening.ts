/**
 * The ways in which a release policy is looser than the one before it. "Loosening a policy that covers ASIL-D is an
 * ASIL-D change." (releases.md, "Stages"); docs/decisions/flags/release-policies.md defines it.
 */
import { canonicalJson } from '../json/canonical-json.ts';
import { thresholdOf } from '../evaluation/rules/percentage-rollout.ts';
import { SAFETY_LEVELS } from '../model.ts';
import { areGuardsWeaker } from './release-guard.ts';
import { isCovered, type ReleasePolicy, type ReleaseStage } from './release-policy.ts';

/** The ways in which a policy can be looser. */
export const LOOSENINGS = [
  /** Flags of some level are no longer covered. */
  'fewer-levels',
  /** Some vehicle can get a change, or the change can become the stable content, after a shorter watch. */
  'shorter-watch',
  /** Some vehicle can get a change after fewer vehicles have reported it. */
  'fewer-reports',
  /** The canary group is another one. */
  'other-canary',
  /** A release is halted only at more faulty vehicles, or at a higher share of them. */
  'higher-fault-limit',
  /** A guard is missing, detects less than before, or has less effect when its limit is crossed. */
  'weaker-guards',
] as const;
/** A way in which a policy is looser than another one. */
export type Loosening = (typeof LOOSENINGS)[number];

type Stages = readonly ReleaseStage[];

/**
 * Gives the stages that precede the change in a vehicle, and in which at least a share of the vehicles has the change.
 *
 * @param share the share as a threshold of buckets: 0 to 100,000
 * @param bucket the vehicle's bucket, before which come the stages whose thresholds are not above it; 100,000 for the
 *   end of the release
 */
const passed = (stages: Stages, share: number, bucket: number) =>
  stages.filter(({ percentage }) => thresholdOf(percentage) >= share && thresholdOf(percentage) <= bucket);

const watchMs = (stages: Stages) => stages.reduce((sum, { soakMs }) => sum + soakMs, 0);
const reports = (stages: Stages) => Math.max(0, ...stages.map(({ minimumVehicles }) => minimumVehicles));

/**
 * Gives the measures (the time of the watch, the number of reports) in which `after` asks for less than `before` for
 * some vehicle. Both are step functions of share and bucket, which change at the thresholds only, so that comparing
 * them at the thresholds compares them everywhere.
 */
function loosenedStages(before: Stages, after: Stages): Loosening[] {
  const shares = before.map(({ percentage }) => thresholdOf(percentage));
  const buckets = [...before, ...after].map(({ percentage }) => thresholdOf(percentage));
  const isLess = (measure: (stages: Stages) => number) =>
    shares.some((share) =>
      buckets.some((bucket) => measure(passed(after, share, bucket)) < measure(passed(before, share, bucket))),
    );
  return [
    ...(isLess(watchMs) ? (['shorter-watch'] as const) : []),
    ...(isLess(reports) ? (['fewer-reports'] as const) : []),
  ];
}

/** Gives all ways in which `after` is looser than `before`; none where it is as strict or stricter. */
export function looseningsOf(before: ReleasePolicy, after: ReleasePolicy): Loosening[] {
  const covered = SAFETY_LEVELS.filter((level) => isCovered(before, level));
  if (covered.length === 0) return [];
  const isLimitHigher =
    after.maximumFaultyVehicles > before.maximumFaultyVehicles ||
    after.maximumFaultyPercent > before.maximumFaultyPercent;
  return [
    ...(covered.some((level) => !isCovered(after, level)) ? (['fewer-levels'] as const) : []),
    ...loosenedStages(before.stages, after.stages),
    ...(canonicalJson(before.canary) === canonicalJson(after.canary) ? [] : (['other-canary'] as const)),
    ...(isLimitHigher ? (['higher-fault-limit'] as const) : []),
    ...(areGuardsWeaker(before.guards, after.guards) ? (['weaker-guards'] as const) : []),
  ];
}

/** Says whether a second person has to approve that `after` takes the place of `before`. */
export function needsSecondPersonForPolicy(before: ReleasePolicy, after: ReleasePolicy): boolean {
  return isCovered(before, 'ASIL-D') && looseningsOf(before, after).length > 0;
}
