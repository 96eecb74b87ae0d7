/**
 * The one path of every change of a flag: a transaction that locks, edits, advances the revision, signs, writes and
 * records, and then an announcement. A change that needs a second person stops after the edit and becomes a change
 * request, which takes the same path when it is approved. Source: design.md, "Revisions" and "Safety".
 */
import type { Logger } from 'pino';
import { unattended } from '../../../core/last-handler/unattended.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import { FLAG_KEY_PATTERN, type Environment, type JsonValue } from '../../../core/model.ts';
import { needsSecondPerson } from '../../../core/access/safety-policy.ts';
import { actingUser, type CallerIdentity } from '../../../core/access/caller.ts';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import { AUDIT_LOG_APPENDED, appendAudit, appendAuditRows, type AuditAction } from '../../shared/audit/audit-log.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import type { Transaction, Transactor } from '../../shared/postgres/transaction.ts';
import { databaseClock } from '../rollouts/database-clock.ts';
import { FLAGS_CHANGED, announcementOf } from './announcement.ts';
import {
  checkSegmentsThen,
  decideChangeRequest,
  insertChangeRequest,
  type ChangeRequest,
} from './requests/change-request.ts';
import { flagContent, type Flag } from '../flags/flag.ts';
import { checkRight, partsOf } from './change-parts.ts';
import { checkDependencies, type FaultPlace } from '../partitions/dependencies.ts';
import { personOf } from '../flags/people.ts';
import { archives, endRequestsFor } from './requests/request-ending.ts';
import {
  INPUT,
  REQUEST,
  archivedRefusal,
  askingPerson,
  checkCurrent,
  checkRevision,
  notFound,
} from './change-checks.ts';
import { bornKilled, checkWritten, whyKilled, withBothPeople, writeFlags } from './flag-writing.ts';
import { unchanged, type ChangeSet, type ChangeSetOutcome } from './sets/change-set.ts';
import { ChangeSets } from './sets/change-sets.ts';
import { disturbedExperiments } from './running-experiments/running-experiment.ts';
import { checkSegments } from '../segments/segment-change.ts';
import { approvedSegment, isAboutSegment } from '../segments/segment-approval.ts';
import { RolloutTransitions, isAboutRollout } from '../rollouts/rollout-transitions.ts';
import { requestedEdit } from './requests/requested-edit.ts';
import { withRelease, type TakingEffect } from '../releases/release-writing.ts';
import type { Signer } from '../signing/signing.ts';
import { insertFlags, lockFlag } from '../flags/flag-store.ts';

/** An edit of one flag. */
export interface FlagEdit {
  /** The flag, by its key or by one of its rules. `field` is the argument that names it in errors; `key` by default. */
  readonly flag: { key: string; field?: string } | { ruleId: string; field?: string };
  /** The flag's revision that the caller has seen. Any newer revision makes the edit a CONFLICT. */
  readonly expectedRevision?: number | null | undefined;
  /** The action that the audit log records; parts that pull or release a kill switch are recorded as that. */
  readonly action: AuditAction;
  /** The reason for releasing a kill switch, where the edit does that. */
  readonly reason?: string | null | undefined;
  /** The argument that holds the reason for pulling a kill switch; by default `input.conditions.reason`. */
  readonly reasonField?: string;
  /**
   * The argument at which faults of scope and dependencies are named, and whether it is an object with these members;
   * by default `input`, which is.
   */
  readonly place?: FaultPlace;
  /** Whether the edit brings an archived flag back. Any other edit of an archived flag is refused. */
  readonly unarchives?: boolean;
  /** Whether an edit that changes nothing is recorded in the audit log, too. */
  readonly evenUnchanged?: boolean;
  /** Whether the change may disturb a running experiment, which then records the disturbance. */
  readonly force?: boolean | null | undefined;
  /** Gives the flag's new state. Pure: changes are found by comparing both states. Throws to refuse the edit. */
  readonly edit: (flag: Flag) => Flag;
  /** Gives what the audit row and a reviewer show; by default the whole content before and after. */
  readonly record?: (before: Flag, after: Flag) => { before: JsonValue; after: JsonValue };
}

/** The outcome of an edit: the flag's current state, and the request when the change waits for a second person. */
export interface FlagChangeOutcome {
  readonly flag: Flag;
  readonly applied: boolean;
  readonly changeRequest: ChangeRequest | null;
  /** The scope that the caller has given, for warnings. */
  readonly given?: GivenScope | undefined;
  /** Whether the change stops what the flag serves, which may let others serve. */
  readonly stops?: boolean;
}

/** A scope as a caller has given it; `field` is the argument. */
export interface GivenScope {
  readonly field: string;
  readonly models: readonly string[];
}

/** The operations that change flags. */
export interface FlagChanges {
  /** Creates a flag. One that needs a second person stays a draft until it is approved. */
  create(identity: CallerIdentity, newFlag: (at: Date) => Flag): Promise<FlagChangeOutcome>;
  /**
   * Edits a flag. An edit that changes nothing keeps the revision and leaves no audit row. The part that pulls a kill
   * switch is applied at once, as a kill, and the rest follows as a second change.
   *
   * @throws FORBIDDEN when the caller may not make this change, or may not request it where it needs a second person
   */
  edit(identity: CallerIdentity, edit: FlagEdit): Promise<FlagChangeOutcome>;
  /**
   * Makes several changes as one, as `ChangeSets.apply`.
   *
   * @param set the set, or what finds it under its locks; null from that for a set that is empty
   * @param limits of the transaction, in milliseconds; by default those of a single change
   */
  applySet(
    identity: CallerIdentity,
    set: ChangeSet | ((tx: Transaction) => Promise<ChangeSet | null>),
    limits?: { readonly maxWait: number; readonly timeout: number },
  ): Promise<ChangeSetOutcome>;
  /**
   * Applies a change request in its requester's name.
   *
   * @param find locks the request and throws when the caller may not approve it
   * @param limits of the transaction, in milliseconds; by default those of a single change
   * @throws CONFLICT when its flag, or one flag of its set, has changed since
   */
  approve(
    identity: CallerIdentity,
    find: (tx: Transaction) => Promise<ChangeRequest>,
    comment: string | null,
    limits?: { readonly maxWait: number; readonly timeout: number },
  ): Promise<ChangeRequest>;
  /**
   * Changes a flag inside the caller's transaction. The caller holds the flag's lock (`lockFlag`) and announces the
   * change after the commit. Does not check whether a second person is needed: the caller must.
   *
   * @throws CONFLICT when it would disturb a running experiment and is not forced
   */
  applyWithin(
    tx: Transaction,
    identity: CallerIdentity,
    before: Flag,
    edited: Flag,
    record: ChangeRecord,
  ): Promise<Flag>;
  /**
   * Announces to all instances that environments have changed.
   *
   * @param isKill whether they hold a flag by a kill switch
   * @param requestId the request that has changed them, for the log; none for what the control plane does by itself
   */
  announce(environments: readonly Environment[], isKill?: boolean, requestId?: string): void;
}

/** The part of a change that its audit row contains. */
export interface ChangeRecord {
  readonly action: AuditAction;
  readonly force?: boolean | undefined;
  readonly place?: FaultPlace | undefined;
  /** The way in which it takes effect; by the release policy where it is absent. */
  readonly effect?: TakingEffect | undefined;
  readonly before: JsonValue;
  readonly after: JsonValue;
}

/**
 * The limits of a change's transaction, in milliseconds. The wait for a lock is bounded, because refusing a change that
 * cannot be made soon is better than queueing it.
 */
export const TRANSACTION = { maxWait: 5_000, timeout: 10_000 } as const;

/** The milliseconds that each flag of a set may take: some ten times what it takes where nothing else runs. */
const SET_FLAG_MS = 100;

/** Gives the limits of a transaction that changes so many flags together. */
export const limitsOf = (flags: number) => ({
  ...TRANSACTION,
  timeout: Math.max(TRANSACTION.timeout, flags * SET_FLAG_MS),
});

/** Gives the argument in which an action's caller names a segment. */
const segmentField = (action: AuditAction) =>
  action === 'CREATE_RULE' || action === 'UPDATE_RULE' ? 'input.conditions.segment' : 'segment';

/** Creates the operations that change flags, with transactions that `prisma` begins. */
export function createFlagChanges(
  prisma: Transactor,
  signer: Signer,
  bus: Bus,
  logger: Logger,
  rollouts = new RolloutTransitions(databaseClock),
): FlagChanges {
  /** Announcements only make changes arrive sooner, so a lost one must not turn a committed change into an error. */
  const announce: FlagChanges['announce'] = (environments, isKill = false, requestId) => {
    const publish = (channel: string, message: string) =>
      bus
        .publish(channel, message)
        .catch((error: unknown) =>
          logger.warn(
            { err: error, channel, environments, requestId },
            'Cannot announce a change; other processes find it by polling, about a second later',
          ),
        );
    for (const environment of new Set(environments))
      unattended(publish(FLAGS_CHANGED, announcementOf(environment, isKill)), 'Announcing a change');
    unattended(publish(AUDIT_LOG_APPENDED, ''), 'Announcing an entry of the audit log');
  };

  const sets = new ChangeSets(signer, rollouts);

  const write = async (
    tx: Transaction,
    before: Flag,
    edited: Flag,
    by: string | null,
    { place = INPUT, action, effect, force = false }: Pick<ChangeRecord, 'action' | 'effect' | 'force' | 'place'>,
    waited = false,
  ): Promise<Flag> => {
    await checkSegments(tx, [{ before, flag: edited, field: segmentField(action) }]);
    const options = { by, force, waited, clock: rollouts.clock };
    const [after = edited] = await writeFlags(tx, signer, [{ before, edited, action, effect }], options);
    // A release that is halted brings a content back which was accepted before, and nothing may keep it from that.
    if (action !== 'HALT_RELEASE') await checkWritten(tx, [{ before, after, place }]);
    return after;
  };

  const applyWithin: FlagChanges['applyWithin'] = async (
    tx,
    identity,
    before,
    edited,
    { force, place, effect, ...record },
  ) => {
    const halts = await rollouts.halt(tx, [{ before, edited }]);
    const by = actingUser(identity.caller);
    const flag = await write(tx, before, edited, by, { action: record.action, effect, force, place });
    const recordEnded = await endRequestsFor(tx, rollouts, identity, archives(before, flag) ? [flag] : []);
    // What a release itself does says so in its own entry.
    const after = effect === undefined ? withRelease(record.after, before, flag) : record.after;
    await appendAudit(tx, identity, { ...record, after, flagId: flag.id });
    await rollouts.recordHalts(tx, identity, halts);
    await recordEnded();
    return flag;
  };

  /** Stores the change as a request, with an audit row; the flag stays as it is. */
  const request = async (
    tx: Transaction,
    identity: CallerIdentity,
    flag: Flag,
    edited: Flag,
    { action, force = false, place = INPUT, ...values }: ChangeRecord,
  ): Promise<FlagChangeOutcome> => {
    const requestedById = askingPerson(identity, edited);
    // Checked again, under the environment's lock, when it is approved.
    await checkDependencies(tx, [{ before: flag.draft ? null : flag, after: edited, place }]);
    await checkSegments(tx, [{ before: flag.draft ? null : flag, flag: edited, field: segmentField(action) }]);
    await disturbedExperiments(tx, [{ before: flag, edited, force }]);
    const changeRequest = await insertChangeRequest(tx, { flag, edited, action, ...values }, { requestedById, force });
    const after = { changeRequest: changeRequest.id, action, proposed: values.after };
    await appendAudit(tx, identity, { action: 'REQUEST_CHANGE', flagId: flag.id, before: values.before, after });
    return { flag, applied: false, changeRequest };
  };

  return {
    applyWithin,
    announce,

    async create(identity, newFlag) {
      const change = await prisma.$transaction(async (tx): Promise<FlagChangeOutcome> => {
        const wanted = newFlag(new Date());
        // Refuses a kill switch without a reason.
        whyKilled(wanted);
        const content = flagContent(wanted);
        if (needsSecondPerson(null, wanted, 'CREATE_FLAG')) {
          askingPerson(identity, wanted);
          const draft = { ...wanted, draft: true };
          await insertFlags(tx, [{ flag: draft }]);
          return request(tx, identity, draft, wanted, { action: 'CREATE_FLAG', before: null, after: content });
        }
        await checkSegments(tx, [{ before: null, flag: wanted, field: segmentField('CREATE_FLAG') }]);
        const birth = { before: null, edited: wanted, field: 'input.key' };
        const [flag = wanted] = await writeFlags(tx, signer, [birth], {
          ...{ by: null, force: false, waited: false, clock: rollouts.clock },
        });
        await checkWritten(tx, [{ before: null, after: flag, place: INPUT }]);
        const after = withRelease(content, null, flag);
        const created = { action: 'CREATE_FLAG', flagId: flag.id, after } as const;
        await appendAuditRows(tx, identity, [created, ...bornKilled(flag)]);
        return { flag, applied: true, changeRequest: null };
      }, TRANSACTION);
      announce(change.applied ? [change.flag.environment] : [], isKilled(change.flag.rules), identity.origin.requestId);
      return change;
    },

    async edit(identity, edit) {
      const { flag: by, expectedRevision, action, force, unarchives } = edit;
      const environments: Environment[] = [];
      const change = await prisma.$transaction(async (tx): Promise<FlagChangeOutcome> => {
        const before = 'key' in by && !FLAG_KEY_PATTERN.test(by.key) ? null : await lockFlag(tx, by);
        if (before === null) throw notFound(by);
        checkCurrent(before, expectedRevision, unarchives);

        const parts = partsOf(before, edit.edit(before), edit);
        for (const part of parts.length === 0 ? [{ action }] : parts) checkRight(identity, part.action);
        if (parts.length === 0 && edit.evenUnchanged === true) {
          await appendAudit(tx, identity, { action, flagId: before.id, ...edit.record?.(before, before) });
        }
        let flag = before;
        for (const { edited, ...values } of parts) {
          const record = { ...values, force: force === true, place: edit.place };
          if (needsSecondPerson(flag, edited, record.action)) return request(tx, identity, flag, edited, record);
          const was = flag.environment;
          flag = await applyWithin(tx, identity, flag, edited, record);
          environments.push(was, flag.environment);
        }
        return { flag, applied: true, changeRequest: null };
      }, TRANSACTION);
      announce(environments, isKilled(change.flag.rules), identity.origin.requestId);
      return change;
    },

    async applySet(identity, set, limits = TRANSACTION) {
      const change = await prisma.$transaction(async (tx) => {
        const found = typeof set === 'function' ? await set(tx) : set;
        return found === null ? unchanged() : sets.apply(tx, identity, found);
      }, limits);
      const isKill = change.applied && change.flags.some(({ rules }) => isKilled(rules));
      const environments = [...new Set(change.flags.map(({ environment }) => environment))];
      announce(change.applied ? environments : [], isKill, identity.origin.requestId);
      return change;
    },

    async approve(identity, find, comment, limits = TRANSACTION) {
      const approvedBy = personOf(identity);
      const environments: Environment[] = [];
      let isKill = false;
      const approved = await prisma.$transaction(async (tx): Promise<ChangeRequest | FleetFlagError> => {
        const change = await find(tx);
        const segment = isAboutSegment(change) ? (within: Transaction) => approvedSegment(within, change) : null;
        if (change.members.length > 0 || segment !== null) {
          const set = await sets.approve(tx, identity, change, approvedBy, comment, segment);
          if (set instanceof FleetFlagError) return set;
          environments.push(...set.written.flags.map(({ environment }) => environment));
          isKill = set.written.isKill;
          return set.decided;
        }
        const before = await lockFlag(tx, { id: change.flagId });
        if (before === null) throw new Error(`The flag of change request ${change.id} no longer exists`);
        const unarchives = change.action === 'UNARCHIVE_FLAG';
        if (before.archivedAt !== null && !before.draft && !unarchives) {
          // Such requests were created, or about to be approved, while the flag was being archived. Nothing else ends
          // them.
          await (
            await endRequestsFor(tx, rollouts, identity, [before])
          )();
          return archivedRefusal(before);
        }
        if (before.draft) checkRevision(before, change.flagRevision);
        else checkCurrent(before, change.flagRevision, unarchives);
        await checkSegmentsThen(tx, [change]);

        const { edited, effect } = await requestedEdit(tx, before, change);
        const halts = await rollouts.halt(tx, [{ before, edited }]);
        if (isAboutRollout(change)) await rollouts.approve(tx, before, change, approvedBy);
        const flag =
          edited === before
            ? before
            : await write(tx, before, edited, change.requestedById, { ...change, place: REQUEST, effect }, true);
        const decided = await decideChangeRequest(tx, change.id, {
          ...{ status: 'approved', reviewedById: approvedBy, comment },
        });
        const recordEnded = await endRequestsFor(tx, rollouts, identity, archives(before, flag) ? [flag] : []);
        const decision = {
          changeRequest: change.id,
          action: change.action,
          requestedBy: change.requestedById,
          comment,
        };
        await appendAudit(tx, identity, { action: 'APPROVE_CHANGE', flagId: flag.id, after: decision });
        await appendAudit(tx, identity, {
          action: change.action,
          flagId: flag.id,
          userId: change.requestedById,
          before: change.before,
          after: withRelease(withBothPeople(change.after, change, approvedBy), before, flag),
        });
        if (before.draft) await appendAuditRows(tx, identity, bornKilled(flag, change.requestedById));
        await rollouts.recordHalts(tx, identity, halts);
        await recordEnded();
        if (flag !== before) environments.push(before.environment, flag.environment);
        isKill = isKilled(flag.rules);
        return decided;
      }, limits);
      announce(environments, isKill, identity.origin.requestId);
      if (approved instanceof FleetFlagError) throw approved;
      return approved;
    },
  };
}
