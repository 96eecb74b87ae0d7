/**
 * Applies rollouts' steps when they are due. Every instance of the flags subgraph runs this job. The flag's lock lets
 * only one of them apply a step, and the step is marked as applied in the same transaction, so it is applied exactly
 * once, whichever process is killed. Source: docs/decisions/flags/scheduled-rollouts.md.
 */
import type { Logger } from 'pino';
import { unattended } from '../../../core/last-handler/unattended.ts';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import type { Environment } from '../../../core/model.ts';
import { mayAskFor } from '../../../core/access/safety-policy.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { Poller } from '../../../core/async/poller.ts';
import { TRANSACTION, type FlagChanges } from '../changes/change.ts';
import { ruleContent, type Flag, type Rule } from '../flags/flag.ts';
import { activeRoles } from '../flags/people.ts';
import { RolloutGuardEnforcer } from './rollout-guard-enforcer.ts';
import { obstacleTo, type Obstacle } from './rollout-obstacle.ts';
import { findRunningExperiment, pausedBy } from '../changes/running-experiments/running-experiment.ts';
import { leastShare } from '../releases/staging.ts';
import type { RolloutTransitions } from './rollout-transitions.ts';
import { inNameOf } from './rollout-identity.ts';
import {
  dueRollouts,
  findRollout,
  guardPermits,
  nextDueAfter,
  percentageOf,
  remainingSteps,
  withPercentage,
  type Rollout,
  type RolloutStep,
} from './rollout.ts';
import { findFlagsByKey } from '../flags/reading/flag-reads.ts';
import { lockFlag } from '../flags/flag-store.ts';
import { rowCount } from '../../shared/postgres/rows.ts';

/**
 * The polling interval: the longest delay, in milliseconds, until this instance sees a step that another has scheduled,
 * or retries one that failed.
 */
const POLL_INTERVAL_MS = 1_000;

function raised(flag: Flag, rule: Rule, percentage: number): Flag {
  const after: Rule = { ...rule, conditions: withPercentage(rule.conditions, percentage), updatedAt: new Date() };
  return { ...flag, rules: flag.rules.map((other) => (other === rule ? after : other)) };
}

/**
 * Gives an obstacle when the person who scheduled it has lost the permission. Losing it pauses the rollout at once
 * (end-plans.ts); each step checks again.
 */
async function personObstacle(tx: Transaction, { scheduledById }: Rollout): Promise<Obstacle | null> {
  const role = (await activeRoles(tx, [scheduledById])).get(scheduledById);
  return role !== undefined && mayAskFor('SCHEDULE_ROLLOUT', role)
    ? null
    : { status: 'paused', reason: 'The user who scheduled it may no longer do this' };
}

/**
 * Gives an obstacle when an experiment was started meanwhile: raising the percentage would move vehicles between its
 * arms.
 */
async function experimentObstacle(tx: Transaction, flag: Flag): Promise<Obstacle | null> {
  const experiment = await findRunningExperiment(tx, flag.id);
  return experiment === null ? null : { status: 'paused', reason: pausedBy(experiment) };
}

/**
 * Gives an obstacle while a flag that this one requires, directly or through others, is killed or disabled: no vehicle
 * would show what a step does, and all steps would take effect together when the other one is on again.
 */
async function prerequisiteObstacle(tx: Transaction, { requires }: Flag): Promise<Obstacle | null> {
  const seen = new Set<string>();
  let keys = requires.map(({ flag }) => flag);
  while (keys.length > 0) {
    const flags = await findFlagsByKey(tx, keys);
    for (const { key, enabled, rules } of flags) {
      if (isKilled(rules)) return { status: 'paused', reason: `the required flag ${key} is killed` };
      if (!enabled) return { status: 'paused', reason: `the required flag ${key} is disabled` };
    }
    for (const key of keys) seen.add(key);
    const next = new Set(flags.flatMap((flag) => flag.requires.map(({ flag: key }) => key)));
    keys = [...next].filter((key) => !seen.has(key));
  }
  return null;
}

/** Polls for due steps and applies them. */
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

  /** Polls at once (steps may have become due while nothing ran), and then whenever a step is due. */
  start(): void {
    unattended(this.#poller.start(), 'Polling for rollouts that are due');
  }

  /** Stops polling. Waits for a step in progress. */
  close(): Promise<void> {
    return this.#poller.close();
  }

  /**
   * Acts on guards' verdicts, then applies every due step, each in its own transaction and those of a rollout in order.
   * Flags that another transaction is changing are left to the next poll.
   *
   * @returns the number of steps that this instance has applied, or found already reached
   */
  async runDue(): Promise<number> {
    await this.#enforcer.enforce();
    let applied = 0;
    for (let progress = true; progress && !this.#poller.closed;) {
      progress = false;
      for (const due of await dueRollouts(this.prisma, await this.transitions.clock(this.prisma))) {
        // A rollout that fails must not stop the others.
        const done = await this.#applyNext(due).catch((err: unknown) => {
          this.logger.warn({ err, rollout: due.id }, 'Cannot apply a step of a rollout; the next poll retries it');
          return false;
        });
        if (done) applied += 1;
        progress ||= done;
        if (this.#poller.closed) break;
      }
    }
    return applied;
  }

  /** Polls once. Resolves to the milliseconds until the next poll. */
  async #poll(): Promise<number> {
    let waitMs = POLL_INTERVAL_MS;
    try {
      await this.runDue();
      const now = await this.transitions.clock(this.prisma);
      const next = await nextDueAfter(this.prisma, now);
      if (next !== null) waitMs = Math.min(waitMs, next.getTime() - now.getTime() + 1);
    } catch (error) {
      this.logger.warn({ err: error }, 'Cannot read rollouts; steps that are due wait for the next attempt');
    }
    return waitMs;
  }

  /**
   * Applies one rollout's next step if it is (still) due. Gives false when there was nothing to do, or the flag's lock
   * was taken.
   */
  async #applyNext({ id, flagId }: { id: string; flagId: string }): Promise<boolean> {
    const environments: Environment[] = [];
    const applied = await this.prisma.$transaction(async (tx) => {
      const free = await rowCount(tx)`SELECT id FROM flags WHERE id = ${flagId}::uuid FOR UPDATE SKIP LOCKED`;
      if (free === 0) return false;
      const flag = await lockFlag(tx, { id: flagId });
      const rollout = await findRollout(tx, { id });
      if (flag === null || rollout?.status !== 'running') return false;
      const [step] = remainingSteps(rollout);
      const now = await this.transitions.clock(tx);
      const due = step?.dueAt ?? rollout.watchedUntil;
      if (due === null || due > now || !guardPermits(rollout, now)) return false;
      if (step === undefined) {
        await this.transitions.complete(tx, rollout, now);
        return false;
      }

      const obstacle =
        obstacleTo(rollout, flag) ??
        (await personObstacle(tx, rollout)) ??
        (await experimentObstacle(tx, flag)) ??
        (await prerequisiteObstacle(tx, flag));
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
    this.changes.announce(environments);
    return applied;
  }

  /**
   * Gives the flag with the rule raised to the step's percentage; null when it is already that high in every content.
   */
  async #raise(tx: Transaction, flag: Flag, rollout: Rollout, step: RolloutStep): Promise<Flag | null> {
    const rule = flag.rules.find((candidate) => candidate.id === rollout.ruleId);
    const { percentage } = step;
    if (rule === undefined || leastShare(flag, rule.id) >= percentage) return null;
    const edited = percentageOf(rule.conditions) < percentage ? raised(flag, rule, percentage) : flag;
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
      effect: { ruleId: rule.id, bound: 'at least', percentage },
      before: ruleContent(rule),
      after: { ...ruleContent(after), rollout: about },
    });
  }
}
