/**
 * The transitions of rollouts, each inside a transaction that holds the flag's lock. Every change of a rollout uses
 * them, and that lock orders the changes.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { followingTimes, resumedTimes } from '../../../core/rollouts/rollout-plan.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import { appendAuditRows } from '../../shared/audit/audit-log.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { flagNotice, notifyOfFlags } from '../../shared/webhooks/outbox.ts';
import type { ChangeRequest } from '../changes/requests/change-request.ts';
import type { Clock } from './database-clock.ts';
import type { Flag } from '../flags/flag.ts';
import { guardObstacle } from './declared-metric.ts';
import { nextWatch } from './rollout-guard.ts';
import { obstacleTo, type Obstacle } from './rollout-obstacle.ts';
import { checkNoRunningExperiment } from '../changes/running-experiments/running-experiment.ts';
import {
  activeRollouts,
  findRollout,
  remainingSteps,
  updateRollout,
  type Rollout,
  type RolloutStep,
} from './rollout.ts';

/** A flag before and after an edit. */
export interface EditedFlag {
  readonly before: Flag;
  readonly edited: Flag;
}

/** A rollout that a change of its flag has stopped. */
export interface Halt extends Obstacle {
  readonly rollout: Rollout;
}

/** Checks whether a change request concerns a rollout instead of the flag's content. */
export const isAboutRollout = ({ action }: Pick<ChangeRequest, 'action'>) =>
  action === 'SCHEDULE_ROLLOUT' || action === 'RESUME_ROLLOUT';

const noLonger = (rollout: Rollout | null, flag: Flag) =>
  new FleetFlagError('CONFLICT', `The rollout is ${rollout === null ? 'gone' : rollout.status.replaceAll('_', ' ')}.`, {
    field: 'id',
    currentRevision: flag.revision,
  });

/** Notifies webhooks of a rollout whose last step is applied, and has been watched for long enough. */
async function notifyFinished(tx: Transaction, { id, ruleId, flagId, steps }: Rollout): Promise<void> {
  const data = { rolloutId: id, ruleId, percentage: steps.at(-1)?.percentage ?? 0 };
  await notifyOfFlags(tx, [flagNotice('rollout.finished', flagId, data)]);
}

/** Writes rollouts' changes of status and their audit rows. */
export class RolloutTransitions {
  constructor(readonly clock: Clock) {}

  /** Stops the rollouts that cannot continue when flags are edited. Call it before the edited flags are written. */
  async halt(tx: Transaction, changes: readonly EditedFlag[]): Promise<Halt[]> {
    if (changes.length === 0) return [];
    const halts: Halt[] = [];
    const ofFlag = new Map(changes.map((change) => [change.before.id, change]));
    for (const rollout of await activeRollouts(tx, [...ofFlag.keys()])) {
      const change = ofFlag.get(rollout.flagId);
      if (change === undefined) continue;
      const { before, edited } = change;
      const obstacle = obstacleTo(rollout, edited, before) ?? (await guardObstacle(tx, edited, rollout));
      if (obstacle === null || (obstacle.status === 'paused' && rollout.status !== 'running')) continue;
      await this.stop(tx, rollout, obstacle);
      halts.push({ rollout, ...obstacle });
    }
    return halts;
  }

  /** Writes the audit rows for `halt`. Call it last in the transaction. */
  async recordHalts(tx: Transaction, identity: CallerIdentity, halts: readonly Halt[]): Promise<void> {
    await appendAuditRows(
      tx,
      identity,
      halts.map(({ rollout, status, reason }) => ({
        action: status === 'paused' ? 'PAUSE_ROLLOUT' : 'CANCEL_ROLLOUT',
        flagId: rollout.flagId,
        // This distinguishes it from the pause or the end that a person has asked for.
        after: { rollout: rollout.id, rule: rollout.ruleId, reason, automatic: true },
      })),
    );
  }

  /** Ends or pauses a rollout. */
  async stop(
    tx: Transaction,
    rollout: Rollout,
    { status, reason }: { status: Obstacle['status'] | 'pulled_back'; reason: string | null },
  ): Promise<Rollout> {
    const updatedAt = await this.clock(tx);
    return updateRollout(tx, rollout.id, {
      status,
      nextStepAt: null,
      pausedReason: status === 'paused' ? reason : null,
      updatedAt,
    });
  }

  /**
   * Resumes a rollout.
   *
   * @param resumedById the user in whose name it continues
   */
  async resume(tx: Transaction, rollout: Rollout, resumedById: string, approvedById: string | null): Promise<Rollout> {
    const now = await this.clock(tx);
    const remaining = remainingSteps(rollout);
    const times = resumedTimes(
      remaining.map((step) => step.dueAt.getTime()),
      now.getTime(),
    );
    return this.#run(tx, rollout, remaining, times, now, { scheduledById: resumedById, approvedById });
  }

  /**
   * Marks the next step as applied at `at`, by a revision, or by none (null) when its percentage had already been
   * reached. After the last step, a guard continues to watch.
   */
  async advance(tx: Transaction, rollout: Rollout, at: Date, revision: number | null): Promise<Rollout> {
    const [step, ...rest] = remainingSteps(rollout);
    if (step === undefined) throw new Error(`Rollout ${rollout.id} has no step left`);
    const applied = { ...step, appliedAt: at, revision };
    const times = followingTimes(
      rest.map(({ delay, dueAt }) => ({ delay, dueAt: dueAt.getTime() })),
      at.getTime(),
    );
    const moved = rest.map((following, index) => ({ ...following, dueAt: new Date(times[index] ?? NaN) }));
    const { guard } = rollout;
    const next = moved[0]?.dueAt ?? (guard && new Date(at.getTime() + guard.watchFor));
    const columns = next === null ? { status: 'completed', nextStepAt: null } : { nextStepAt: next };
    if (next === null) await notifyFinished(tx, rollout);
    return updateRollout(
      tx,
      rollout.id,
      { ...columns, ...(guard !== null && { guard: nextWatch(at) }), updatedAt: at },
      [applied, ...moved],
    );
  }

  /** Completes a guarded rollout that has been watched long enough after its last step. */
  async complete(tx: Transaction, rollout: Rollout, at: Date): Promise<Rollout> {
    await notifyFinished(tx, rollout);
    return updateRollout(tx, rollout.id, { status: 'completed', nextStepAt: null, updatedAt: at });
  }

  /**
   * Starts or resumes the rollout of an approved request.
   *
   * @throws CONFLICT when the rollout has ended, its flag is killed or has a running experiment, or its times no longer
   * fit
   */
  async approve(tx: Transaction, flag: Flag, request: ChangeRequest, approvedById: string): Promise<Rollout> {
    const rollout = await findRollout(tx, { changeRequestId: request.id });
    const expected = request.action === 'RESUME_ROLLOUT' ? 'paused' : 'waiting_for_approval';
    if (rollout?.status !== expected) throw noLonger(rollout, flag);
    await checkNoRunningExperiment(tx, flag);
    const obstacle = obstacleTo({ ...rollout, approvedById }, flag) ?? (await guardObstacle(tx, flag, rollout));
    if (obstacle !== null)
      throw new FleetFlagError('CONFLICT', `The rollout cannot go on: ${obstacle.reason}.`, {
        currentRevision: flag.revision,
      });
    if (expected === 'paused') return this.resume(tx, rollout, request.requestedById, approvedById);

    const now = await this.clock(tx);
    const steps = remainingSteps(rollout);
    const times = followingTimes(
      steps.map(({ delay, dueAt }) => ({ delay, dueAt: dueAt.getTime() })),
      now.getTime(),
    );
    // A long review must not turn a series of steps into one leap.
    if (times.some((time, index) => time <= (times[index - 1] ?? now.getTime()))) {
      throw new FleetFlagError(
        'CONFLICT',
        'The times of this rollout have passed while it was waiting for approval; schedule it again.',
        { currentRevision: flag.revision },
      );
    }
    return this.#run(tx, rollout, steps, times, now, { scheduledById: rollout.scheduledById, approvedById });
  }

  /**
   * Cancels the rollout that a rejected or withdrawn request was to start; one that was to be resumed stays paused. The
   * caller holds the flag's lock.
   */
  async refuse(tx: Transaction, request: ChangeRequest): Promise<void> {
    if (request.action !== 'SCHEDULE_ROLLOUT') return;
    const rollout = await findRollout(tx, { changeRequestId: request.id });
    if (rollout?.status === 'waiting_for_approval') await this.stop(tx, rollout, { status: 'cancelled', reason: null });
  }

  async #run(
    tx: Transaction,
    rollout: Rollout,
    steps: readonly RolloutStep[],
    times: readonly number[],
    now: Date,
    people: Pick<Rollout, 'scheduledById' | 'approvedById'>,
  ): Promise<Rollout> {
    const moved = steps.map((step, index) => ({ ...step, dueAt: new Date(times[index] ?? NaN) }));
    const { guard } = rollout;
    const nextStepAt = moved[0]?.dueAt ?? (guard && new Date(now.getTime() + guard.watchFor));
    const { scheduledById, approvedById } = people;
    const columns = {
      status: 'running',
      pausedReason: null,
      nextStepAt,
      scheduledById,
      approvedById: approvedById ?? rollout.approvedById,
      updatedAt: now,
    };
    return updateRollout(tx, rollout.id, { ...columns, ...(guard !== null && { guard: nextWatch(now) }) }, moved);
  }
}
