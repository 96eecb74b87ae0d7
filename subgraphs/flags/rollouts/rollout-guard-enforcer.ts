/**
 * Enforces the verdicts on guarded rollouts. When a guard's limit is crossed, the rollout is pulled back and its flag
 * killed; when the guard's metric stops arriving, the rollout is paused. Every flags instance does this. The flag's
 * lock lets only one of them act, and the rollout ends or pauses in the same transaction, so it happens exactly once.
 * Source: docs/decisions/flags/guarded-rollouts.md.
 */
import type { Logger } from 'pino';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import type { JsonObject } from '../../../core/model.ts';
import { describeGuard, describeSilence } from '../../../core/rollouts/rollout-guard.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { TRANSACTION, type FlagChanges } from '../changes/change.ts';
import { ruleContent, type Flag, type Rule } from '../flags/flag.ts';
import { figuresContent, guardContent, type GuardOfRollout, type GuardStatus } from './rollout-guard.ts';
import { inNameOf } from './rollout-identity.ts';
import type { RolloutTransitions } from './rollout-transitions.ts';
import { findRollout, judgedRollouts, percentageOf, withPercentage, type Rollout } from './rollout.ts';
import { recordSwitch, withKillSwitch, withRule } from '../changes/edits/rule-edits.ts';
import { lockFlag } from '../flags/flag-store.ts';
import { rowCount } from '../../shared/postgres/rows.ts';

/** Gives the audit log's record: the guard, and the figures on which the verdict is based. */
function verdictRecord(
  rollout: Rollout,
  guard: GuardOfRollout,
  { verdict, figures, computedAt }: GuardStatus,
): JsonObject {
  return {
    rollout: rollout.id,
    rule: rollout.ruleId,
    guard: guardContent(guard),
    verdict,
    figures: figuresContent(figures),
    computedAt: computedAt.toISOString(),
  };
}

/** Gives the rule with its percentage from before the rollout, or with its current percentage where that is lower. */
function pulledBack(rule: Rule, initialPercentage: number): Rule {
  const conditions = withPercentage(rule.conditions, Math.min(initialPercentage, percentageOf(rule.conditions)));
  return { ...rule, conditions, updatedAt: new Date() };
}

/** Acts on guards' verdicts. */
export class RolloutGuardEnforcer {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly changes: FlagChanges,
    private readonly transitions: RolloutTransitions,
    private readonly logger: Logger,
  ) {}

  /**
   * Acts on every verdict that requires it, each in its own transaction. Gives the number of rollouts on which this
   * instance has acted.
   */
  async enforce(): Promise<number> {
    let acted = 0;
    for (const judged of await judgedRollouts(this.prisma)) {
      const done = await this.#act(judged).catch((err: unknown) => {
        this.logger.error(
          { err, rollout: judged.id },
          'Cannot act on the verdict of a rollout guard; the next poll retries it',
        );
        return false;
      });
      if (done) acted += 1;
    }
    return acted;
  }

  async #act({ id, flagId }: { id: string; flagId: string }): Promise<boolean> {
    const outcome = await this.prisma.$transaction(async (tx): Promise<Flag | 'paused' | null> => {
      // Where another process holds the flag's lock, it acts on the verdict, or the next poll does.
      const free = await rowCount(tx)`SELECT id FROM flags WHERE id = ${flagId}::uuid FOR UPDATE SKIP LOCKED`;
      if (free === 0) return null;
      const flag = await lockFlag(tx, { id: flagId });
      const rollout = await findRollout(tx, { id });
      const { guard = null, guardStatus = null, status } = rollout ?? {};
      if (flag === null || rollout === null || guard === null) return null;
      // A verdict on an earlier watch concerns another percentage.
      if (guardStatus?.watch !== guard.watch) return null;
      const rule = flag.rules.find((candidate) => candidate.id === rollout.ruleId);
      if (guardStatus.verdict === 'crossed' && rule !== undefined && (status === 'running' || status === 'paused')) {
        return this.#pullBack(tx, flag, rule, rollout, guard, guardStatus);
      }
      if (guardStatus.verdict !== 'silent' || status !== 'running') return null;
      await this.#pause(tx, rollout, guard, guardStatus);
      return 'paused';
    }, TRANSACTION);
    if (outcome === null) return false;
    // A pause changes nothing that vehicles have: only the audit log has an entry.
    if (outcome === 'paused') this.changes.announce([]);
    else this.changes.announce([outcome.environment], true);
    return true;
  }

  /**
   * Pulls a rollout back. Like `killSwitch`, it waits for no approval, whatever the flag's safety level, and for no
   * experiment.
   */
  async #pullBack(
    tx: Transaction,
    flag: Flag,
    rule: Rule,
    rollout: Rollout,
    guard: GuardOfRollout,
    status: GuardStatus,
  ): Promise<Flag> {
    const identity = inNameOf(rollout, 'guard');
    const reason = `Rollout guard: ${describeGuard(guard, status.figures)}`;
    const back = pulledBack(rule, guard.initialPercentage);
    const lowered = withRule(flag, back);
    // A kill switch that a person has pulled keeps their reason.
    const held = isKilled(flag.rules);
    const edited = held ? lowered : withKillSwitch(lowered, reason);
    // The rollout stops first, so that the change below does not find it active and pause it.
    await this.transitions.stop(tx, rollout, { status: 'pulled_back', reason: null });
    const after = await this.changes.applyWithin(tx, identity, flag, edited, {
      action: 'GUARD_ROLLOUT',
      force: true,
      effect: { ruleId: rule.id, bound: 'at most', percentage: guard.initialPercentage },
      before: ruleContent(rule),
      after: { ...ruleContent(back), ...verdictRecord(rollout, guard, status), reason },
    });
    if (!held)
      await appendAudit(tx, identity, { action: 'KILL_SWITCH', flagId: flag.id, ...recordSwitch(reason)(flag, after) });
    return after;
  }

  async #pause(tx: Transaction, rollout: Rollout, guard: GuardOfRollout, status: GuardStatus): Promise<void> {
    const reason = describeSilence(guard);
    await this.transitions.stop(tx, rollout, { status: 'paused', reason });
    await appendAudit(tx, inNameOf(rollout, 'guard'), {
      action: 'PAUSE_ROLLOUT',
      flagId: rollout.flagId,
      after: { ...verdictRecord(rollout, guard, status), reason },
    });
  }
}
