/** The part of a change's write that is about releases: what begins, and what ends. */
import { randomUUID } from 'node:crypto';
import { isJsonObject } from '../../../core/json/json-value.ts';
import type { Environment, JsonObject, JsonValue } from '../../../core/model.ts';
import { addedGuards, type WatchingGuard } from '../../../core/releases/release-guard.ts';
import type { ReleasePolicy } from '../../../core/releases/release-policy.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import type { Flag } from '../flags/flag.ts';
import type { Clock } from '../rollouts/database-clock.ts';
import {
  endReleases,
  insertReleases,
  putContents,
  putStage,
  releaseUnderWay,
  releasesUnderWay,
  type FlagRelease,
  type ReleaseContents,
} from './flag-release.ts';
import { faultyReleases } from './health/release-faults.ts';
import { crossedReleases } from './release-guards.ts';
import { readReleasePolicy } from './policies/release-policy.ts';
import {
  concernsRelease,
  inBothContents,
  keptContent,
  releasedContent,
  staged,
  type ShareInBoth,
  type StagedChange,
} from './staging.ts';

/** A step of a release itself: it is at another stage, or it ends. */
export interface ReleaseStep {
  readonly status: 'running' | 'completed' | 'halted';
  readonly reason: string | null;
}

/**
 * The way in which a change takes effect: by the policy, which is the default; at once, in both contents, for the steps
 * of rollouts and what guards pull back; `signed again` with the release that it has; or as a step of its release.
 */
export type TakingEffect = 'by policy' | 'signed again' | ShareInBoth | ReleaseStep;

const isShare = (effect: TakingEffect | undefined): effect is ShareInBoth =>
  typeof effect === 'object' && 'bound' in effect;

/** Says whether a change is a step of the release itself. */
export const isReleaseStep = (effect: TakingEffect | undefined): effect is ReleaseStep =>
  typeof effect === 'object' && 'status' in effect;

/** A change with the way in which it takes effect. `before` is null for a new flag. */
export interface EffectiveChange {
  readonly before: Flag | null;
  readonly edited: Flag;
  readonly effect?: TakingEffect | undefined;
}

/** Changes as they are to be written, and what is to be written beside them. */
export interface StagedWrites {
  /** The flags in the order of the changes, each with the release that is under way after it. */
  readonly flags: readonly Flag[];
  /** Whether each change, in their order, halts the release that was under way. */
  readonly halts: readonly boolean[];
  /** Writes the releases that have begun and ended. `flags` have their new revisions. */
  readonly write: (flags: readonly Flag[], by: string | null) => Promise<void>;
}

function stagedBy(
  { before, edited, effect = 'by policy' }: EffectiveChange,
  policies: ReadonlyMap<Environment, ReleasePolicy | null>,
  faulty: ReadonlySet<string>,
): StagedChange {
  if (effect === 'by policy')
    return staged(before, edited, {
      policyOf: (environment) => policies.get(environment) ?? null,
      isFaulty: faulty.has(edited.id),
      newId: randomUUID,
    });
  const flag = isShare(effect) && before !== null ? inBothContents(before, edited, effect) : edited;
  return { flag, ended: null, starts: false };
}

/**
 * Gives the guards that people have added to releases whose place another one takes while the stable content stays, by
 * the flags' ids. The content that they guard is still new then, and no change may take their guards from it.
 */
async function inheritedGuards(
  tx: Transaction,
  changes: readonly EffectiveChange[],
  all: readonly StagedChange[],
): Promise<Map<string, WatchingGuard[]>> {
  const heirs = all.flatMap(({ flag, starts }, index) => {
    const under = changes[index]?.before?.release;
    return starts && under != null && flag.release?.stable === under.stable ? [flag.id] : [];
  });
  const under = heirs.length === 0 ? new Map<string, FlagRelease>() : await releasesUnderWay(tx, heirs);
  return new Map([...under].map(([flagId, { guards }]) => [flagId, addedGuards(guards)]));
}

/** Gives a release that begins at its first stage. */
function begun(
  flag: Flag,
  policy: ReleasePolicy,
  inherited: readonly WatchingGuard[],
  by: string | null,
  at: Date,
): FlagRelease {
  const { release } = flag;
  if (release === null) throw new Error(`${flag.key} has no release that could begin`);
  return {
    ...{ id: randomUUID(), ring: release.id, flagId: flag.id, environment: flag.environment, status: 'running' },
    ...{ stage: 0, percentage: release.percentage, stages: policy.stages, canary: release.canary },
    maximumFaultyVehicles: policy.maximumFaultyVehicles,
    maximumFaultyPercent: policy.maximumFaultyPercent,
    guards: [...policy.guards, ...inherited],
    ...{
      content: releasedContent(flag),
      stableContent: keptContent(release.stable),
      revision: flag.revision,
      reason: null,
      startedById: by,
    },
    startedRevision: flag.revision,
    ...{ startedAt: at, stageStartedAt: at, endedAt: null },
    dueAt: new Date(at.getTime() + (policy.stages[0]?.soakMs ?? 0)),
  };
}

/** Gives the contents of a flag's release where a change has reached both at once; none for any other change. */
function movedContents(change: EffectiveChange | undefined, flag: Flag): ReleaseContents[] {
  if (!isShare(change?.effect) || change?.before == null || flag.release === null) return [];
  const { stable } = flag.release;
  return [{ flagId: flag.id, content: releasedContent(flag), stableContent: keptContent(stable) }];
}

/** Writes the stage that a flag's release has reached. Its soak begins. */
async function moveOn(tx: Transaction, { id: flagId, key, release, revision }: Flag, at: Date): Promise<void> {
  const under = await releaseUnderWay(tx, flagId);
  if (under === null || release === null) throw new Error(`${key} has no release under way`);
  const { percentage } = release;
  const stage = under.stages.findLastIndex((one) => one.percentage <= percentage);
  const dueAt = new Date(at.getTime() + (under.stages[stage]?.soakMs ?? 0));
  await putStage(tx, under.id, { stage: Math.max(stage, 0), percentage, revision, stageStartedAt: at, dueAt });
}

/**
 * Gives the releases of flags that change. Reads the policies of their environments, where a change may need one.
 *
 * @throws CONFLICT as `staged`
 */
export async function stageWrites(
  tx: Transaction,
  clock: Clock,
  changes: readonly EffectiveChange[],
): Promise<StagedWrites> {
  const concerned = changes.filter(
    ({ before, edited, effect = 'by policy' }) => effect === 'by policy' && concernsRelease(before, edited),
  );
  const policies = new Map<Environment, ReleasePolicy | null>();
  const environments = concerned.flatMap(({ before, edited }) => [before ?? edited, edited]);
  for (const environment of new Set(environments.map((flag) => flag.environment)))
    policies.set(environment, await readReleasePolicy(tx, environment));
  // Only of these does it depend on faults and guards whether their content becomes the stable one.
  const whole = concerned.flatMap(({ before }) => (before?.release?.percentage === 100 ? [before.id] : []));
  const faulty =
    whole.length === 0
      ? []
      : [...(await faultyReleases(tx, whole)), ...(await crossedReleases(tx, { flagIds: whole }))];
  const faultyFlags = new Set(faulty.map(({ flagId }) => flagId));
  const all = changes.map((change) => stagedBy(change, policies, faultyFlags));
  const steps = changes.map(({ effect }) => (isReleaseStep(effect) ? effect : null));
  return {
    flags: all.map(({ flag }) => flag),
    halts: all.map(({ ended }, index) => (steps[index] ?? ended)?.status === 'halted'),
    async write(flags, by) {
      const moved = flags.flatMap((flag, index) => movedContents(changes[index], flag));
      if (moved.length > 0) await putContents(tx, moved);
      if (!all.some(({ starts, ended }, index) => starts || ended !== null || steps[index] != null)) return;
      const at = await clock(tx);
      const ended = all.flatMap(({ flag: { id: flagId }, ended: end }, index) => {
        const ends = steps[index] ?? end;
        return ends === null || ends.status === 'running' ? [] : [{ flagId, status: ends.status, reason: ends.reason }];
      });
      const inherited = await inheritedGuards(tx, changes, all);
      await endReleases(tx, ended, at);
      for (const [index, flag] of flags.entries()) if (steps[index]?.status === 'running') await moveOn(tx, flag, at);
      const beginning = all.flatMap(({ starts }, index) => {
        const flag = flags[index];
        const policy = flag && policies.get(flag.environment);
        return starts && flag !== undefined && policy
          ? [begun(flag, policy, inherited.get(flag.id) ?? [], by, at)]
          : [];
      });
      if (beginning.length > 0) await insertReleases(tx, beginning);
    },
  };
}

/** Adds the release that a change has begun or ended to its audit row. */
export function withRelease(after: JsonValue, was: Flag | null, { release }: Flag): JsonValue {
  if ((was?.release ?? null) === release) return after;
  const content: JsonObject = isJsonObject(after) ? after : {};
  return { ...content, release: release && { id: release.id, percentage: release.percentage } };
}
