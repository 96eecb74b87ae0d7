/**
 * Applies the steps of rollouts as they become due. Every flags instance has one of these: the lock of the flag lets
 * one of them apply a step, and the step is marked in the transaction that applies it, so that it is applied once
 * and wholly, whoever is killed when. Source: docs/decisions/scheduled-rollouts.md.
 */
import type { Logger } from 'pino';
import { unattended } from '../../../core/async/unattended.ts';
import type { Environment, JsonObject } from '../../../core/model.ts';
import { mayAskFor } from '../../../core/access/safety-policy.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { Poller } from '../../../core/async/poller.ts';
import { TRANSACTION, type FlagChanges } from '../changes/change.ts';
import { ruleContent, type Flag, type Rule } from '../flags/flag.ts';
import { activeRoles } from '../flags/people.ts';
import { RolloutGuardEnforcer } from './rollout-guard-enforcer.ts';
import { obstacleTo, type Obstacle } from './rollout-obstacle.ts';
import { findRunningExperiment, pausedBy } from '../changes/running-experiment.ts';
import type { RolloutTransitions } from './rollout-transitions.ts';
import { inNameOf } from './rollout-identity.ts';
import {
  dueRollouts,
  findRollout,
  mayGoOn,
  nextDueAfter,
  percentageOf,
  remainingSteps,
  type Rollout,
  type RolloutStep,
} from './rollout.ts';
import { lockFlag } from '../flags/flag-store.ts';

/** How long a step that another instance has scheduled, or that could not be applied, stays unseen; in milliseconds. */
const LOOK_INTERVAL = 1_000;

function raised(flag: Flag, rule: Rule, percentage: number): Flag {
  const conditions = { ...(rule.conditions as JsonObject), rollout_percentage: percentage };
  const after: Rule = { ...rule, conditions, updatedAt: new Date() };
  return { ...flag, rules: flag.rules.map((other) => (other === rule ? after : other)) };
}

/** Who scheduled it has lost the right to: that pauses it at once (end-plans.ts), and a step looks for itself. */
async function personObstacle(tx: Transaction, { scheduledById }: Rollout): Promise<Obstacle | null> {
  const role = (await activeRoles(tx, [scheduledById])).get(scheduledById);
  return role !== undefined && mayAskFor('SCHEDULE_ROLLOUT', role)
    ? null
    : { status: 'paused', reason: 'Who scheduled it may not do this any more' };
}

/** Raising the percentage would move vehicles between the arms of an experiment that was started meanwhile. */
async function experimentObstacle(tx: Transaction, flag: Flag): Promise<Obstacle | null> {
  const experiment = await findRunningExperiment(tx, flag.id);
  return experiment === null ? null : { status: 'paused', reason: pausedBy(experiment) };
}

export class RolloutStepJob {
  readonly #poller = new Poller(() => this.#poll());
  readonly #enforcer: RolloutGuardEnforcer;

  constructor(
    private readonly prisma: PrismaClient,
    private readonly changes: FlagChanges,
    private readonly transitions: RolloutTransitions,
    private readonly logger: Logger,
  ) {
    this.#enforcer = new RolloutGuardEnforcer(prisma, changes, transitions, logger);
  }

  /** Looks at once (there may be steps that were due while nothing ran), and from then on whenever a step is due. */
  start(): void {
    unattended(this.#poller.start(), 'Looking for rollouts that are due');
  }

  /** Waits for the step that is being applied, if any. */
  close(): Promise<void> {
    return this.#poller.close();
  }

  /**
   * Does what guards' verdicts ask for, then applies every step that is due, each in a transaction of its own and those
   * of a rollout in their order. Flags that somebody else is changing at this moment are left for the next look.
   *
   * @returns how many steps this instance has applied, or found reached already
   */
  async runDue(): Promise<number> {
    await this.#enforcer.enforce();
    let applied = 0;
    for (let progress = true; progress && !this.#poller.closed;) {
      progress = false;
      for (const due of await dueRollouts(this.prisma, await this.transitions.clock(this.prisma))) {
        // One rollout that cannot be applied holds up no other.
        const done = await this.#applyNext(due).catch((err: unknown) => {
          this.logger.warn({ err, rollout: due.id }, 'A step of a rollout could not be applied; it is tried again');
          return false;
        });
        if (done) applied += 1;
        progress ||= done;
        if (this.#poller.closed) break;
      }
    }
    return applied;
  }

  /** One poll. Resolves to the milliseconds until the next. */
  async #poll(): Promise<number> {
    let wait = LOOK_INTERVAL;
    try {
      await this.runDue();
      const now = await this.transitions.clock(this.prisma);
      const next = await nextDueAfter(this.prisma, now);
      if (next !== null) wait = Math.min(wait, next.getTime() - now.getTime() + 1);
    } catch (error) {
      this.logger.warn({ err: error }, 'Rollouts could not be read');
    }
    return wait;
  }

  /**
   * Applies the next step of one rollout if it is (still) due; false where there was nothing to do, or no lock to be
   * had.
   */
  async #applyNext({ id, flagId }: { id: string; flagId: string }): Promise<boolean> {
    const environments: Environment[] = [];
    const applied = await this.prisma.$transaction(async (tx) => {
      const free = await tx.$queryRaw<
        unknown[]
      >`SELECT id FROM flags WHERE id = ${flagId}::uuid FOR UPDATE SKIP LOCKED`;
      if (free.length === 0) return false;
      const flag = await lockFlag(tx, { id: flagId });
      const rollout = await findRollout(tx, { id });
      if (flag === null || rollout?.status !== 'running') return false;
      const [step] = remainingSteps(rollout);
      const now = await this.transitions.clock(tx);
      const due = step?.dueAt ?? rollout.watchedUntil;
      if (due === null || due > now || !mayGoOn(rollout, now)) return false;
      if (step === undefined) {
        await this.transitions.complete(tx, rollout, now);
        return false;
      }

      const obstacle =
        obstacleTo(rollout, flag) ?? (await personObstacle(tx, rollout)) ?? (await experimentObstacle(tx, flag));
      if (obstacle !== null) {
        await this.transitions.stop(tx, rollout, obstacle);
        await this.transitions.recordHalts(tx, inNameOf(rollout, 'scheduler'), [{ rollout, ...obstacle }]);
        return false;
      }
      const after = await this.#raise(tx, flag, rollout, step);
      await this.transitions.advance(tx, rollout, now, after?.revision ?? null);
      if (after !== null) environments.push(after.environment);
      return true;
    }, TRANSACTION);
    this.changes.announce(...environments);
    return applied;
  }

  /** The flag with the rule raised to the step's percentage; null where it is that high already. */
  async #raise(tx: Transaction, flag: Flag, rollout: Rollout, step: RolloutStep): Promise<Flag | null> {
    const rule = flag.rules.find((candidate) => candidate.id === rollout.ruleId);
    if (rule === undefined || percentageOf(rule.conditions) >= step.percentage) return null;
    const edited = raised(flag, rule, step.percentage);
    const { id, approvedById, steps } = rollout;
    const about = {
      id,
      step: step.position,
      of: steps.length,
      ...(approvedById !== null && { approvedBy: approvedById }),
    };
    const after = edited.rules.find((candidate) => candidate.id === rule.id) ?? rule;
    return this.changes.applyWithin(tx, inNameOf(rollout, 'scheduler'), flag, edited, {
      action: 'UPDATE_RULE',
      before: ruleContent(rule),
      after: { ...ruleContent(after), rollout: about },
    });
  }
}
