/**
 * Validates release policies as clients write them. Source: releases.md, "Stages";
 * docs/decisions/flags/release-policies.md.
 */
import { FleetFlagError, badInput } from '../errors.ts';
import { readList } from '../evaluation/rules/condition-fields.ts';
import { parseWrittenWhitelist } from '../evaluation/rules/vehicle-whitelist.ts';
import { isOneOf } from '../json/json-value.ts';
import { SAFETY_LEVELS, type Environment, type SafetyLevel } from '../model.ts';
import { checkModelName } from '../partitions/model-name.ts';
import { ROLLOUT_HORIZON_MS, checkRaised } from '../rollouts/rollout-plan.ts';
import { readDuration } from '../validation/duration.ts';
import { readLabel } from '../validation/text.ts';
import { readReleaseGuards, type ReleaseGuardDraft } from './release-guard.ts';
import type { CanaryGroup, ReleasePolicy, ReleaseStage } from './release-policy.ts';

/** A stage as a client writes it. */
export interface StageDraft {
  readonly percentage: number;
  /** An ISO 8601 duration. */
  readonly soak: unknown;
  /** The number of vehicles that must report the change; zero where it is left out. */
  readonly minimumVehicles?: number | undefined;
}

/** A canary group as a client writes it. */
export interface CanaryDraft {
  readonly vins?: unknown;
  readonly models?: unknown;
  readonly regions?: unknown;
}

/** A policy as a client writes it. What is null or absent has its default. */
export interface PolicyDraft {
  readonly environment: Environment;
  readonly stages: readonly StageDraft[];
  readonly canary?: CanaryDraft | null | undefined;
  readonly safetyLevels?: readonly unknown[] | null | undefined;
  readonly maximumFaultyVehicles?: number | null | undefined;
  readonly maximumFaultyPercent?: number | null | undefined;
  readonly guards?: readonly ReleaseGuardDraft[] | null | undefined;
}

/** The most stages of a policy. */
export const MAX_STAGES = 20;
/** The most VINs of a canary group. Each signed definition carries their digests while its release runs. */
export const MAX_CANARY_VINS = 200;
/** The most models, and the most regions, of a canary group. */
export const MAX_CANARY_NAMES = 50;
/** The most characters of a model or a region, as the registry stores them. */
const MAX_NAME_LENGTH = 100;
/** The limits of faults where a client gives none. Source: api.graphql, `ReleasePolicyInput`. */
const DEFAULT_FAULTY_VEHICLES = 3;
const DEFAULT_FAULTY_PERCENT = 1;

const tooMany = (path: string, limit: number, what: string) =>
  new FleetFlagError('LIMIT_EXCEEDED', `${what} at most ${limit}.`, { field: path, limit });

/** Gives names in one order, because theirs means nothing. */
const sorted = (names: ReadonlySet<string>) => [...names].sort();

function readModel(value: unknown, path: string): string {
  const model = readLabel(value, path, { what: 'A model', max: MAX_NAME_LENGTH });
  checkModelName(model, path, 'a stage of 100 percent reaches every model');
  return model;
}

const readRegion = (value: unknown, path: string) => readLabel(value, path, { what: 'A region', max: MAX_NAME_LENGTH });

function readVins(value: unknown, path: string, canary: string): ReadonlySet<string> {
  if (Array.isArray(value) && value.length > MAX_CANARY_VINS)
    throw tooMany(path, MAX_CANARY_VINS, 'A canary group may have VINs:');
  return parseWrittenWhitelist({ vins: value }, canary).vins;
}

/** Says whether a list of a canary group is given. An empty list names nobody, as none does. */
const isGiven = (list: unknown) => list != null && !(Array.isArray(list) && list.length === 0);

function readCanary({ vins, models, regions }: CanaryDraft, path: string): CanaryGroup {
  if (![vins, models, regions].some(isGiven))
    throw badInput(path, 'A canary group must name at least one VIN, model or region; leave it out for none.');
  const names = (value: unknown, at: string, read: (item: unknown, itemPath: string) => string) =>
    isGiven(value) ? sorted(readList(value, at, read, MAX_CANARY_NAMES)) : [];
  return {
    vins: isGiven(vins) ? sorted(readVins(vins, `${path}.vins`, path)) : [],
    models: names(models, `${path}.models`, readModel),
    regions: names(regions, `${path}.regions`, readRegion),
  };
}

/** Gives the levels in the order of their severity; all of them where none are given. */
function readLevels(levels: readonly unknown[] | null | undefined, path: string): SafetyLevel[] {
  if (levels == null) return [...SAFETY_LEVELS];
  if (levels.length === 0)
    throw badInput(path, 'A policy must hold for at least one safety level; a policy without stages holds for none.');
  const named = readList(levels, path, (level, at) => {
    if (!isOneOf(SAFETY_LEVELS, level)) throw badInput(at, `Expected one of ${SAFETY_LEVELS.join(', ')}.`);
    return level;
  });
  return SAFETY_LEVELS.filter((level) => named.has(level));
}

function checkWhole(value: number, path: string): void {
  if (!Number.isSafeInteger(value) || value < 0) throw badInput(path, 'Expected a whole number from 0.');
}

/** Reads the stages. A first stage of 0 percent is that of the canary group alone. */
function readStages(drafts: readonly StageDraft[], hasCanary: boolean, path: string): ReleaseStage[] {
  if (drafts.length > MAX_STAGES) throw tooMany(path, MAX_STAGES, 'A policy may have stages:');
  let before = 0;
  const stages = drafts.map(({ percentage, soak, minimumVehicles = 0 }, index) => {
    const at = `${path}.${index}`;
    if (index > 0 || percentage !== 0 || !hasCanary)
      checkRaised(
        percentage,
        before,
        `${at}.percentage`,
        index === 0 ? 'The first stage must reach vehicles, or a canary group' : 'Each stage must raise the percentage',
      );
    before = percentage;
    const soakMs = readDuration(soak, `${at}.soak`);
    if (soakMs > ROLLOUT_HORIZON_MS) throw badInput(`${at}.soak`, 'A soak may be at most 366 days.');
    checkWhole(minimumVehicles, `${at}.minimumVehicles`);
    return { percentage, soakMs, minimumVehicles };
  });
  if (stages.length > 0 && before !== 100)
    throw badInput(`${path}.${stages.length - 1}.percentage`, 'The last stage must be at 100 percent.');
  return stages;
}

/** Refuses a stage of an ASIL-D flag that waits for nothing: nobody could see a fault in it before the next one. */
function checkWaiting(stages: readonly ReleaseStage[], path: string): void {
  const hasty = stages.findIndex(({ soakMs, minimumVehicles }) => soakMs === 0 && minimumVehicles === 0);
  if (hasty !== -1)
    throw badInput(
      `${path}.${hasty}.soak`,
      'A stage of a policy that holds for ASIL-D must wait: give it a soak above zero, or vehicles that must report.',
    );
}

/**
 * Gives a policy as it is stored.
 *
 * @param path the dotted path of the policy in the request; faults are reported below it (`input.stages.1.percentage`)
 * @throws BAD_USER_INPUT at the path of the first fault; LIMIT_EXCEEDED (20 stages; 200 VINs, 50 models and 50 regions
 *   of a canary group; 5 guards)
 */
export function parseReleasePolicy(draft: PolicyDraft, path: string): ReleasePolicy {
  const { environment, maximumFaultyVehicles, maximumFaultyPercent } = draft;
  const canary = draft.canary == null ? null : readCanary(draft.canary, `${path}.canary`);
  const stages = readStages(draft.stages, canary !== null, `${path}.stages`);
  if (canary !== null && stages.length === 0)
    throw badInput(`${path}.canary`, 'A policy without stages has no first one for a canary group.');
  const safetyLevels = readLevels(draft.safetyLevels, `${path}.safetyLevels`);
  if (safetyLevels.includes('ASIL-D')) checkWaiting(stages, `${path}.stages`);
  const vehicles = maximumFaultyVehicles ?? DEFAULT_FAULTY_VEHICLES;
  checkWhole(vehicles, `${path}.maximumFaultyVehicles`);
  const percent = maximumFaultyPercent ?? DEFAULT_FAULTY_PERCENT;
  // The gate compares shares exactly, in thousandths of a percent.
  if (!(percent >= 0 && percent <= 100) || Math.round(percent * 1000) / 1000 !== percent)
    throw badInput(`${path}.maximumFaultyPercent`, 'Expected a number from 0 to 100 with at most three decimals.');
  const guards = readReleaseGuards(draft.guards ?? [], `${path}.guards`);
  if (guards.length > 0 && stages.length === 0)
    throw badInput(`${path}.guards`, 'A policy without stages has no release that a guard could watch.');
  return {
    environment,
    stages,
    canary,
    safetyLevels,
    maximumFaultyVehicles: vehicles,
    maximumFaultyPercent: percent,
    guards,
  };
}
