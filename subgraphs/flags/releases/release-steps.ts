/**
 * The steps of releases, each within a transaction that holds the flag's lock: to another stage, to the end, or back.
 * Each is a change of the flag with a revision of its own. Source: releases.md, "Stages".
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { checkRaised } from '../../../core/rollouts/rollout-plan.ts';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import { membersOf } from '../../../core/json/json-value.ts';
import type { JsonObject } from '../../../core/model.ts';
import type { Transaction, Transactor } from '../../shared/postgres/transaction.ts';
import type { FlagChanges } from '../changes/change.ts';
import type { Flag } from '../flags/flag.ts';
import { lockFlag } from '../flags/flag-store.ts';
import { releaseUnderWay, type FlagRelease } from './flag-release.ts';
import type { ReleaseStep } from './release-writing.ts';
import { haltedFlag, releasedContent } from './staging.ts';

/** The part of `FlagChanges` that makes a step. */
type Applying = Pick<FlagChanges, 'applyWithin'>;

/** The step of a release to another percentage. */
export const MOVES: ReleaseStep = { status: 'running', reason: null };

/** The lane of kill switches, for halts: it ends the sessions that are in the way. */
export interface HaltLane {
  readonly changes: FlagChanges;
  readonly prisma: Transactor;
}

/** A flag whose release is under way, both as they are under the flag's lock. */
export interface ReleasedFlag {
  readonly flag: Flag & { readonly release: NonNullable<Flag['release']> };
  readonly release: FlagRelease;
}

/** Gives a locked flag with its release under way; null where there is none. */
export async function releasedFlag(tx: Transaction, flag: Flag | null): Promise<ReleasedFlag | null> {
  if (flag === null || flag.release === null) return null;
  const release = await releaseUnderWay(tx, flag.id);
  return release && { flag: { ...flag, release: flag.release }, release };
}

/** Gives the flag with its release at another percentage. */
const atPercentage = ({ flag }: ReleasedFlag, percentage: number): Flag => ({
  ...flag,
  release: { ...flag.release, percentage },
});

/** Gives the stage that follows a percentage; undefined after the last. */
export const stageAfter = ({ stages }: FlagRelease, percentage: number) =>
  stages.find((stage) => stage.percentage > percentage);

/**
 * Checks to which percentage a release is promoted.
 *
 * @param present that of the release; 0 before it is known
 * @throws BAD_USER_INPUT at `percentage` for one that is not above the present one, up to 100, with at most three
 * decimals
 */
export const checkPromotion = (percentage: number, present: number): void =>
  checkRaised(percentage, present, 'percentage', 'A promotion must raise the percentage');

/**
 * Refuses to move the release of a flag that is killed or disabled: it holds.
 *
 * @throws CONFLICT
 */
export function checkGoesOn({ key, enabled, rules, revision: currentRevision }: Flag): void {
  if (enabled && !isKilled(rules)) return;
  const why = enabled ? 'killed' : 'disabled';
  throw new FleetFlagError('CONFLICT', `${key} is ${why}, so its release holds.`, { currentRevision });
}

/** Gives the refusal of a step of a flag that has no release under way. */
export const noRelease = ({ key, revision: currentRevision }: Flag) =>
  new FleetFlagError('CONFLICT', `No release of ${key} is under way.`, { currentRevision });

/**
 * Moves a release to a higher percentage, whose soak begins.
 *
 * @param record further data for the audit log, beside the percentages
 */
export function moveRelease(
  tx: Transaction,
  changes: Applying,
  identity: CallerIdentity,
  of: ReleasedFlag,
  percentage: number,
  action: 'ADVANCE_RELEASE' | 'PROMOTE_RELEASE',
  record: JsonObject = {},
): Promise<Flag> {
  return changes.applyWithin(tx, identity, of.flag, atPercentage(of, percentage), {
    ...{ action, force: true, effect: MOVES },
    before: { release: of.release.id, percentage: of.flag.release.percentage },
    after: { release: of.release.id, percentage, ...record },
  });
}

/** Completes a release that has held for its soak at all vehicles: the new content is the only one. */
export function completeRelease(
  tx: Transaction,
  changes: Applying,
  identity: CallerIdentity,
  { flag, release }: ReleasedFlag,
): Promise<Flag> {
  return changes.applyWithin(
    tx,
    identity,
    flag,
    { ...flag, release: null },
    {
      ...{ action: 'COMPLETE_RELEASE', force: true, effect: { status: 'completed', reason: null } },
      before: { release: release.id, percentage: flag.release.percentage },
      after: { release: release.id },
    },
  );
}

/**
 * Halts the release of a flag within the caller's transaction: the stable content is back for everybody, by a new
 * revision, and the halted one is kept with the release. Nothing keeps it from that: no experiment, no rollout, no
 * second person.
 *
 * @param release a release that was read before; the halt is about this one only
 * @param figures further data for the audit log, beside the reason, such as counts of faulty vehicles
 * @returns the flag after the halt; null where that release is no longer under way
 */
export async function haltWithin(
  tx: Transaction,
  changes: Applying,
  identity: CallerIdentity,
  { id, flagId }: Pick<FlagRelease, 'id' | 'flagId'>,
  reason: string,
  figures: JsonObject = {},
): Promise<Flag | null> {
  const of = await releasedFlag(tx, await lockFlag(tx, { id: flagId }));
  if (of === null || of.release.id !== id) return null;
  const { flag, release } = of;
  const halted = haltedFlag(flag, flag.release);
  return changes.applyWithin(tx, identity, flag, halted, {
    ...{ action: 'HALT_RELEASE', force: true, effect: { status: 'halted', reason } },
    before: { release: id, percentage: release.percentage, content: releasedContent(flag) },
    after: { release: id, reason, ...figures, enabled: halted.enabled, content: releasedContent(halted) },
  });
}

/**
 * Gives the flag as an approved promotion makes it.
 *
 * @throws CONFLICT where its release is no longer under way
 */
export async function promoted(tx: Transaction, flag: Flag, after: unknown): Promise<Flag> {
  const of = await releasedFlag(tx, flag);
  const { release, percentage } = membersOf(after);
  if (of === null || of.release.id !== release || typeof percentage !== 'number')
    throw new FleetFlagError('CONFLICT', `The release of ${flag.key} is no longer under way.`, {
      ...{ field: 'id', currentRevision: flag.revision },
    });
  checkGoesOn(flag);
  checkPromotion(percentage, of.flag.release.percentage);
  return { ...flag, release: { ...of.flag.release, percentage } };
}
