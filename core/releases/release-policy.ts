/**
 * Release policies: the stages in which a change of what a flag serves reaches the vehicles of an environment. Source:
 * releases.md, "Stages".
 */
import type { Environment, SafetyLevel } from '../model.ts';
import type { ReleaseGuard } from './release-guard.ts';

/** A stage of a release. */
export interface ReleaseStage {
  /** The share of vehicles that have the change in this stage, in percent with at most three decimals. */
  readonly percentage: number;
  /** The milliseconds for which the stage is watched before the next one begins. */
  readonly soakMs: number;
  /** The number of vehicles of the ring that must report the change before the next stage begins. */
  readonly minimumVehicles: number;
}

/** The vehicles that get each change in its first stage. At least one list has an entry; one of any list is enough. */
export interface CanaryGroup {
  readonly vins: readonly string[];
  readonly models: readonly string[];
  readonly regions: readonly string[];
}

/** The way in which changes reach an environment's vehicles. */
export interface ReleasePolicy {
  readonly environment: Environment;
  /** With raising percentages, the last 100. None: changes reach everybody at once. */
  readonly stages: readonly ReleaseStage[];
  readonly canary: CanaryGroup | null;
  /** The levels of the flags whose changes go through the stages. */
  readonly safetyLevels: readonly SafetyLevel[];
  /** A release is halted past both limits: this number of faulty vehicles with the change, … */
  readonly maximumFaultyVehicles: number;
  /** … and a share of faulty vehicles that is this many percentage points above the share among all others. */
  readonly maximumFaultyPercent: number;
  /** The metrics by which releases are watched. */
  readonly guards: readonly ReleaseGuard[];
}

/** Says whether the changes of flags of a level go through a policy's stages. */
export function isCovered({ stages, safetyLevels }: ReleasePolicy, safetyLevel: SafetyLevel): boolean {
  return stages.length > 0 && safetyLevels.includes(safetyLevel);
}
