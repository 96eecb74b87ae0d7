/**
 * The effect of a change on the release of its flag: which change starts one, which supersedes it, and which reaches
 * every vehicle at once. Pure. Source: releases.md, "Stages"; docs/decisions/flags/staged-releases.md.
 */
import { isDeepStrictEqual } from 'node:util';
import { FleetFlagError } from '../../../core/errors.ts';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import type { Environment, JsonObject, ReleaseCanary } from '../../../core/model.ts';
import { isCovered, type CanaryGroup, type ReleasePolicy } from '../../../core/releases/release-policy.ts';
import { requirementContent, ruleContent, type Flag, type StableContent, type StagedRelease } from '../flags/flag.ts';
import { isSwitch } from '../flags/vehicle-form.ts';
import { percentageOf, withPercentage } from '../rollouts/rollout.ts';

/** The way in which a release ends without having reached everybody. */
export interface ReleaseEnd {
  readonly status: 'halted' | 'superseded';
  readonly reason: string;
}

/** A change as it is written. */
export interface StagedChange {
  /** The flag with the release that is under way after the change. */
  readonly flag: Flag;
  /** The end of the release that was under way before; null where there was none, or it goes on. */
  readonly ended: ReleaseEnd | null;
  /** Whether a release begins at its first stage. */
  readonly starts: boolean;
}

/** Gives the content of a flag that a release moves vehicles to, for comparison and for examination. */
export function releasedContent(flag: Omit<StableContent, 'disabled'>): JsonObject {
  const { defaultValue, rules, requires, excludes, valueSchema, activation } = flag;
  return {
    defaultValue,
    rules: rules.filter((rule) => !isSwitch(rule)).map(ruleContent),
    requires: requires.map(requirementContent),
    excludes: [...excludes],
    valueSchema,
    activation,
  };
}

/**
 * Gives the content that vehicles outside the ring keep, in the form of `releasedContent`. Where they have the flag
 * disabled, `enabled` says so, and the default value is all that they serve.
 */
export const keptContent = ({ disabled, ...content }: StableContent): JsonObject => ({
  ...releasedContent(content),
  ...(disabled && { enabled: false }),
});

/** Gives the content of a flag that vehicles keep which a release has not reached. */
const stableOf = ({ defaultValue, rules, requires, excludes, valueSchema, activation }: Flag): StableContent => ({
  ...{ disabled: false, defaultValue, rules: rules.filter((rule) => !isSwitch(rule)), requires, excludes },
  ...{ valueSchema, activation },
});

/** Gives what vehicles keep of a flag that is not switched on for them yet. */
const disabledOf = (flag: Pick<Flag, 'defaultValue' | 'valueSchema' | 'activation'>): StableContent => ({
  ...{ disabled: true, defaultValue: flag.defaultValue, rules: [], requires: [], excludes: [] },
  ...{ valueSchema: flag.valueSchema, activation: flag.activation },
});

/** Says whether the rules of a flag have an effect. */
const isOn = ({ enabled, rules }: Flag): boolean => enabled && !isKilled(rules);

const isSame = (one: Flag, other: Flag): boolean => isDeepStrictEqual(releasedContent(one), releasedContent(other));

/** Says whether no vehicle of a changed flag's environment has had the flag before. */
const isUnknown = (before: Flag, edited: Flag): boolean =>
  before.draft || before.archivedAt !== null || before.environment !== edited.environment;

/** Says whether an enabled flag leaves an environment whose vehicles have it. */
const leaves = (before: Flag, edited: Flag): boolean =>
  before.enabled && !before.draft && before.archivedAt === null && before.environment !== edited.environment;

const isSameScope = (one: Flag, other: Flag): boolean => isDeepStrictEqual(one.scope, other.scope);

/** Says whether it depends on the policy how a change takes effect, or whether it is refused. */
export function concernsRelease(before: Flag | null, edited: Flag): boolean {
  if (edited.draft) return false;
  if (edited.archivedAt !== null) return before?.archivedAt === null && before.enabled;
  if (before === null || isUnknown(before, edited)) return isOn(edited) || (before !== null && leaves(before, edited));
  return !isSame(before, edited) || (isOn(edited) && !isOn(before)) || !isSameScope(before, edited);
}

/** Gives the canary of a policy as a release has it; null where it names nobody. */
function canaryOf(group: CanaryGroup | null): ReleaseCanary | null {
  const { vins = [], models = [], regions = [] } = group ?? {};
  const named = {
    ...(vins.length > 0 && { vins }),
    ...(models.length > 0 && { models }),
    ...(regions.length > 0 && { regions }),
  };
  return Object.keys(named).length === 0 ? null : named;
}

/**
 * Refuses a change that no stage can hold back: it would take the flag from vehicles, or give it to others, at once.
 *
 * @throws CONFLICT where the flag is enabled under the policy
 */
function refuseEnabled(before: Flag, policy: ReleasePolicy | null, change: string): void {
  if (!before.enabled || policy === null || !isCovered(policy, before.safetyLevel)) return;
  throw new FleetFlagError(
    'CONFLICT',
    `${before.key} is enabled, and ${before.environment} has a release policy: disable it before you ${change}.`,
    { currentRevision: before.revision },
  );
}

/** The circumstances of a change on which its staging depends. */
export interface StagingCircumstances {
  /** The policy of an environment; null for none. */
  readonly policyOf: (environment: Environment) => ReleasePolicy | null;
  /** Whether the release under way has more faulty vehicles than it allows. */
  readonly isFaulty: boolean;
  /** Gives the salt of a new ring. */
  readonly newId: () => string;
}

/**
 * Gives a change as it is written.
 *
 * @param before the flag before the change; null for a new one
 * @throws CONFLICT where an enabled flag under a policy is archived, moved to another environment, or given another
 * scope
 */
export function staged(
  before: Flag | null,
  edited: Flag,
  { policyOf, isFaulty, newId }: StagingCircumstances,
): StagedChange {
  const policy = policyOf(edited.environment);
  const under = before?.release ?? null;
  const ends = (status: ReleaseEnd['status'], reason: string) => (under === null ? null : { status, reason });
  const atOnce = (ended: ReleaseEnd | null): StagedChange => ({
    ...{ flag: { ...edited, release: null }, ended, starts: false },
  });
  if (edited.draft) return atOnce(null);
  if (edited.archivedAt !== null) {
    if (before !== null && before.archivedAt === null)
      refuseEnabled(before, policyOf(before.environment), 'archive it');
    return atOnce(ends('halted', 'The flag was archived'));
  }
  if (before !== null && leaves(before, edited)) refuseEnabled(before, policyOf(before.environment), 'move it');
  const was = before === null || isUnknown(before, edited) ? null : before;
  const levels = [edited, ...(was === null ? [] : [was])];
  const covered = policy !== null && levels.some(({ safetyLevel }) => isCovered(policy, safetyLevel)) ? policy : null;
  const start = (id: string, stable: StableContent, ended: ReleaseEnd | null): StagedChange => ({
    flag: {
      ...edited,
      release: {
        ...{ id, stable, canary: canaryOf(covered?.canary ?? null) },
        percentage: covered?.stages[0]?.percentage ?? 100,
      },
    },
    ended,
    starts: true,
  });
  if (was === null) {
    const left = ends('halted', `The flag was moved to ${edited.environment}`);
    // Vehicles of this environment do not have it, so none of its values is known to be harmless there.
    return covered === null || !isOn(edited) ? atOnce(left) : start(newId(), disabledOf(edited), left);
  }
  if (edited.enabled && !isSameScope(was, edited)) refuseEnabled(was, covered, 'change its scope');
  const switchesOn = isOn(edited) && !isOn(was);
  if (!switchesOn && isSame(was, edited)) return { flag: { ...edited, release: under }, ended: null, starts: false };
  if (covered === null) return atOnce(ends('superseded', `${edited.environment} no longer has a release policy`));
  const served = under?.stable ?? was;
  if (switchesOn) return start(newId(), disabledOf(served), ends('halted', 'The flag was switched on again'));
  if (under === null) {
    if (isOn(edited)) return start(newId(), stableOf(was), null);
    // While a flag is off, its default value is all that it serves.
    return isDeepStrictEqual(was.defaultValue, edited.defaultValue)
      ? atOnce(null)
      : start(newId(), disabledOf(was), null);
  }
  // While a flag is off, nobody has the content of its release, whatever its percentage.
  const stable = under.percentage === 100 && isOn(was) && !isFaulty ? stableOf(was) : under.stable;
  const back = { ...edited, ...stable, rules: [...stable.rules] };
  if (!stable.disabled && isSame(back, edited))
    return atOnce(ends('superseded', 'A change has brought the stable content back'));
  return start(under.id, stable, ends('superseded', 'A later change takes its place'));
}

/** The share that a rollout gives to its rule: a step raises it, and a guard takes it back. */
export interface ShareInBoth {
  readonly ruleId: string;
  /** The percentage that the rule has at least, or at most, from then on. */
  readonly bound: 'at least' | 'at most';
  readonly percentage: number;
}

/**
 * Gives a flag as a rollout has changed it, with the share in the content that a release keeps as well: the steps of a
 * rollout are stages themselves, and what a guard pulls back reaches everybody. The two contents may have come to
 * different shares by hand, so each is moved only as far as it has not got yet.
 */
export function inBothContents(before: Flag, edited: Flag, { ruleId, bound, percentage }: ShareInBoth): Flag {
  const { release } = before;
  if (release === null) return edited;
  const bounded = bound === 'at least' ? Math.max : Math.min;
  const rules = release.stable.rules.map((rule) => {
    const present = percentageOf(rule.conditions);
    const moved = bounded(present, percentage);
    if (rule.id !== ruleId || rule.type !== 'percentage_rollout' || moved === present) return rule;
    return { ...rule, conditions: withPercentage(rule.conditions, moved) };
  });
  return { ...edited, release: { ...release, stable: { ...release.stable, rules } } };
}

/** Gives the smallest share that a rule has in the contents of its flag. */
export function leastShare({ rules, release }: Flag, ruleId: string): number {
  const shares = [...rules, ...(release?.stable.rules ?? [])].flatMap(({ id, conditions }) =>
    id === ruleId ? [percentageOf(conditions)] : [],
  );
  return Math.min(...shares);
}

/** Gives a flag after the halt of its release: the stable content is back for everybody. */
export function haltedFlag(flag: Flag, { stable }: StagedRelease): Flag {
  const { disabled, defaultValue, rules, requires, excludes, valueSchema, activation } = stable;
  const isSameDefault = isDeepStrictEqual(defaultValue, flag.defaultValue);
  // Outside the ring it is disabled, so nobody evaluates the rules, which people can go on with.
  if (disabled) return { ...flag, ...(!isSameDefault && { defaultValue, valueSchema }), enabled: false, release: null };
  const switches = flag.rules.filter(isSwitch);
  const back = [...switches, ...rules].sort((a, b) => b.priority - a.priority);
  return { ...flag, defaultValue, rules: back, requires, excludes, valueSchema, activation, release: null };
}
