/** The use cases of rollouts. Source: docs/decisions/flags/scheduled-rollouts.md. */
import { checkDeclared, guardObstacle } from './declared-metric.ts';
import { randomUUID } from 'node:crypto';
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import { FLAG_KEY_PATTERN } from '../../../core/model.ts';
import { needsSecondPerson } from '../../../core/access/safety-policy.ts';
import { actingUser, type CallerIdentity } from '../../../core/access/caller.ts';
import { readOptionalReason } from '../../../core/validation/text.ts';
import { readRolloutGuard, type RolloutGuardDraft } from '../../../core/rollouts/rollout-guard.ts';
import { planRollout } from '../../../core/rollouts/rollout-plan.ts';
import { appendAudit, type AuditAction } from '../../shared/audit/audit-log.ts';
import type { Reader, Transaction, Transactor } from '../../shared/postgres/transaction.ts';
import { isUuid } from '../../../core/wire/api/pagination.ts';
import type { RolloutStepInput } from '../generated/resolvers.ts';
import { checkCurrent } from '../changes/change-checks.ts';
import { TRANSACTION } from '../changes/change.ts';
import { holdPersonWho, personOf } from '../flags/people.ts';
import {
  decideChangeRequest,
  insertChangeRequest,
  lockChangeRequest,
  type ChangeRequest,
} from '../changes/requests/change-request.ts';
import type { Flag, Rule } from '../flags/flag.ts';
import { checkGuardable, guardColumns } from './rollout-guard.ts';
import { checkNoRunningExperiment } from '../changes/running-experiments/running-experiment.ts';
import type { RolloutTransitions } from './rollout-transitions.ts';
import {
  ACTIVE,
  activeRollouts,
  findRollout,
  insertRollout,
  percentageOf,
  rolloutContent,
  rolloutsOfRules,
  updateRollout,
  type Rollout,
} from './rollout.ts';
import { lockFlag } from '../flags/flag-store.ts';

/** Optional parts of a schedule. */
export interface ScheduleOptions {
  readonly guard?: RolloutGuardDraft | null | undefined;
  readonly expectedRevision?: number | null | undefined;
}

/** The outcome of scheduling: the rollout, and the request when it waits for a second person. */
export interface ScheduledRollout {
  readonly flag: Flag;
  readonly rollout: Rollout;
  readonly applied: boolean;
  readonly changeRequest: ChangeRequest | null;
}

const conflict = (message: string, flag: Flag) =>
  new FleetFlagError('CONFLICT', message, { currentRevision: flag.revision });

function checkNotKilled(flag: Flag): void {
  if (isKilled(flag.rules)) throw conflict(`The kill switch of ${flag.key} is pulled; release it first.`, flag);
}

const statusOf = (rollout: Rollout) => rollout.status.replaceAll('_', ' ');

/** Schedules, pauses, resumes and cancels rollouts. */
export class RolloutService {
  constructor(
    private readonly prisma: Reader,
    private readonly turns: Transactor,
    private readonly transitions: RolloutTransitions,
  ) {}

  /** Gives a rollout, or null when the id is unknown. */
  byId(id: string): Promise<Rollout | null> {
    return findRollout(this.prisma, { id });
  }

  /** Gives each rule's active rollout, or else its latest. Rules without rollouts are left out. */
  ofRules(ruleIds: readonly string[]): Promise<Map<string, Rollout>> {
    return rolloutsOfRules(this.prisma, ruleIds);
  }

  /**
   * Schedules a rollout of a percentage rule.
   *
   * @throws BAD_USER_INPUT at the path of the fault; LIMIT_EXCEEDED; NOT_FOUND; FORBIDDEN when the caller is not a
   * person; CONFLICT when the flag has changed since `expectedRevision`, is archived or killed, or has a running
   * experiment or a release under way, and when the rule has an active rollout, or the guard no two arms to compare
   */
  async schedule(
    identity: CallerIdentity,
    flagKey: string,
    ruleId: string,
    steps: readonly RolloutStepInput[],
    options: ScheduleOptions = {},
  ): Promise<ScheduledRollout> {
    personOf(identity);
    const guard = options.guard ? readRolloutGuard(options.guard, 'guard') : null;
    return this.turns.$transaction(async (tx) => {
      // The rollout will continue in this person's name, so the person must still have the permission at the commit.
      const scheduledById = await holdPersonWho(tx, identity, 'SCHEDULE_ROLLOUT');
      const { flag, rule } = await this.#lockRule(tx, flagKey, ruleId);
      checkCurrent(flag, options.expectedRevision);
      checkNotKilled(flag);
      await checkNoRunningExperiment(tx, flag);
      if (flag.release !== null)
        throw conflict(`A release of ${flag.key} is under way; wait for its end, or halt it.`, flag);
      if (guard !== null) {
        checkGuardable(flag, rule);
        await checkDeclared(tx, flag, guard);
      }
      if ((await activeRollouts(tx, [flag.id])).some((other) => other.ruleId === rule.id))
        throw conflict('The rule already has a rollout; cancel it first.', flag);

      const now = await this.transitions.clock(tx);
      const drafts = steps.map((step) => ({ ...step, at: step.at?.getTime() ?? null }));
      const plan = planRollout(drafts, percentageOf(rule.conditions), now.getTime(), 'steps').map(
        ({ percentage, delay, dueAt }, index) => ({
          position: index + 1,
          percentage,
          delayMs: delay,
          dueAt: new Date(dueAt),
        }),
      );
      const waits = needsSecondPerson(flag, flag, 'SCHEDULE_ROLLOUT');
      const rollout = await insertRollout(tx, {
        id: randomUUID(),
        flagId: flag.id,
        ruleId: rule.id,
        environment: flag.environment,
        status: waits ? 'waiting_for_approval' : 'running',
        nextStepAt: waits ? null : (plan[0]?.dueAt ?? null),
        scheduledById,
        createdAt: now,
        updatedAt: now,
        steps: plan,
        guard: guard && guardColumns(guard, percentageOf(rule.conditions), waits ? null : now),
      });
      if (!waits) {
        await appendAudit(tx, identity, {
          action: 'SCHEDULE_ROLLOUT',
          flagId: flag.id,
          after: rolloutContent(rollout),
        });
        return { flag, rollout, applied: true, changeRequest: null };
      }
      const requested = await this.#request(tx, identity, flag, rollout, 'SCHEDULE_ROLLOUT');
      return { flag, applied: false, ...requested };
    }, TRANSACTION);
  }

  /**
   * Pauses a running rollout. Pausing a paused one changes nothing.
   *
   * @throws CONFLICT for one that does not run; NOT_FOUND; BAD_USER_INPUT
   */
  async pause(identity: CallerIdentity, id: string, reason?: string | null): Promise<Rollout> {
    const why = readOptionalReason(reason, 'reason');
    return this.#change(id, async (tx, rollout, flag) => {
      if (rollout.status === 'paused') return rollout;
      if (rollout.status !== 'running') throw conflict(`The rollout is ${statusOf(rollout)}.`, flag);
      const paused = await this.transitions.stop(tx, rollout, { status: 'paused', reason: why });
      await appendAudit(tx, identity, {
        action: 'PAUSE_ROLLOUT',
        flagId: flag.id,
        after: { rollout: id, rule: rollout.ruleId, reason: why },
      });
      return paused;
    });
  }

  /**
   * Resumes a paused rollout, in the caller's name. A step that became due meanwhile is due at once, and the later
   * steps keep their distances. For an ASIL-D flag this requests a second person's approval, and the rollout stays
   * paused until then.
   *
   * @throws CONFLICT while the flag is killed or has a running experiment, while it is ASIL and nobody has declared the
   * guard's metric, and for a rollout that is not paused or already waits for approval
   */
  async resume(identity: CallerIdentity, id: string): Promise<Rollout> {
    const person = personOf(identity);
    const hold = (tx: Transaction) => holdPersonWho(tx, identity, 'RESUME_ROLLOUT');
    return this.#change(
      id,
      async (tx, rollout, flag, request) => {
        if (rollout.status === 'running') return rollout;
        if (rollout.status !== 'paused') throw conflict(`The rollout is ${statusOf(rollout)}.`, flag);
        checkCurrent(flag, null);
        checkNotKilled(flag);
        await checkNoRunningExperiment(tx, flag);
        const obstacle = await guardObstacle(tx, flag, rollout);
        if (obstacle !== null) throw conflict(`The rollout cannot go on: ${obstacle.reason}.`, flag);
        if (needsSecondPerson(flag, flag, 'RESUME_ROLLOUT')) {
          if (request?.status === 'pending')
            throw conflict('The rollout is already waiting for approval to resume.', flag);
          return (await this.#request(tx, identity, flag, rollout, 'RESUME_ROLLOUT')).rollout;
        }
        const resumed = await this.transitions.resume(tx, rollout, person, null);
        await appendAudit(tx, identity, { action: 'RESUME_ROLLOUT', flagId: flag.id, after: rolloutContent(resumed) });
        return resumed;
      },
      hold,
    );
  }

  /**
   * Cancels a rollout, and the request for which it may wait. Cancelling a cancelled one changes nothing.
   *
   * @throws CONFLICT for one that is completed
   */
  async cancel(identity: CallerIdentity, id: string, reason?: string | null): Promise<Rollout> {
    const why = readOptionalReason(reason, 'reason');
    return this.#change(id, async (tx, rollout, flag, request) => {
      if (rollout.status === 'cancelled') return rollout;
      if (!ACTIVE.includes(rollout.status)) throw conflict(`The rollout is ${statusOf(rollout)}.`, flag);
      const cancelled = await this.transitions.stop(tx, rollout, { status: 'cancelled', reason: why });
      const after = { rollout: id, rule: rollout.ruleId, reason: why };
      if (request?.status === 'pending') {
        const by = actingUser(identity.caller);
        await decideChangeRequest(tx, request.id, {
          status: 'cancelled',
          reviewedById: by === request.requestedById ? null : by,
          comment: why,
        });
        await appendAudit(tx, identity, {
          action: 'CANCEL_CHANGE',
          flagId: flag.id,
          after: { changeRequest: request.id, action: request.action, requestedBy: request.requestedById },
        });
      }
      await appendAudit(tx, identity, { action: 'CANCEL_ROLLOUT', flagId: flag.id, after });
      return cancelled;
    });
  }

  async #lockRule(tx: Transaction, flagKey: string, ruleId: string): Promise<{ flag: Flag; rule: Rule }> {
    const flag = FLAG_KEY_PATTERN.test(flagKey) ? await lockFlag(tx, { key: flagKey }) : null;
    if (flag === null)
      throw new FleetFlagError('NOT_FOUND', `There is no flag ${JSON.stringify(flagKey)}.`, { field: 'flagKey' });
    const rule = flag.rules.find((candidate) => candidate.id === ruleId.toLowerCase());
    if (rule === undefined)
      throw new FleetFlagError('NOT_FOUND', `This rule does not exist in ${flag.key}.`, { field: 'ruleId' });
    if (rule.type !== 'percentage_rollout') throw badInput('ruleId', 'A rollout requires a percentage_rollout rule.');
    return { flag, rule };
  }

  /** Creates a change request whose approval starts or resumes the rollout. */
  async #request(
    tx: Transaction,
    identity: CallerIdentity,
    flag: Flag,
    rollout: Rollout,
    action: AuditAction,
  ): Promise<{ rollout: Rollout; changeRequest: ChangeRequest }> {
    const [before, after] = [
      { rule: rollout.ruleId, rollout_percentage: rollout.currentPercentage },
      rolloutContent(rollout),
    ];
    const changeRequest = await insertChangeRequest(
      tx,
      { flag, edited: flag, action, before, after },
      { requestedById: personOf(identity) },
    );
    const waiting = await updateRollout(tx, rollout.id, { changeRequestId: changeRequest.id });
    await appendAudit(tx, identity, {
      action: 'REQUEST_CHANGE',
      flagId: flag.id,
      before,
      after: { changeRequest: changeRequest.id, action, proposed: after },
    });
    return { rollout: waiting, changeRequest };
  }

  /**
   * Runs `change` with the rollout, its flag and its request locked, in the order in which approving locks them.
   *
   * @param first locks whatever must be locked before them
   */
  #change(
    id: string,
    change: (tx: Transaction, rollout: Rollout, flag: Flag, request: ChangeRequest | null) => Promise<Rollout>,
    first: (tx: Transaction) => Promise<unknown> = async () => undefined,
  ): Promise<Rollout> {
    const gone = new FleetFlagError('NOT_FOUND', 'This rollout does not exist.', { field: 'id' });
    if (!isUuid(id)) throw gone;
    return this.turns.$transaction(async (tx) => {
      await first(tx);
      const seen = await findRollout(tx, { id });
      if (seen === null) throw gone;
      const request = seen.changeRequestId === null ? null : await lockChangeRequest(tx, seen.changeRequestId);
      const flag = await lockFlag(tx, { id: seen.flagId });
      const rollout = await findRollout(tx, { id });
      if (flag === null || rollout === null) throw gone;
      // A request that was created meanwhile is left alone; its approval will find the rollout in its new state.
      return change(tx, rollout, flag, rollout.changeRequestId === request?.id ? request : null);
    }, TRANSACTION);
  }
}
