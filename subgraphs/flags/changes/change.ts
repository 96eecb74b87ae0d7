/**
 * The one path of every change of a flag: a transaction that locks, edits, advances the revision, signs, writes and
 * records, and then an announcement. A change that needs a second person stops after the edit and becomes a change
 * request, which takes the same path when it is approved. Source: design.md, "Revisions" and "Safety".
 */
import type { Logger } from 'pino';
import { unattended } from '../../../core/async/unattended.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import { isJsonObject } from '../../../core/json/json-value.ts';
import { FLAG_KEY_PATTERN, type Environment, type JsonObject, type JsonValue } from '../../../core/model.ts';
import { needsSecondPerson } from '../../../core/access/safety-policy.ts';
import { actingUser, type CallerIdentity } from '../../../core/access/caller.ts';
import { isKilling } from '../../../core/evaluation/rules/kill-switch.ts';
import { AUDIT_LOG_APPENDED, appendAudit, type AuditAction } from '../../shared/audit/audit-log.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import type { Transaction, Transactor } from '../../shared/postgres/transaction.ts';
import { databaseClock } from './database-clock.ts';
import { decideChangeRequest, insertChangeRequest, type ChangeRequest } from './change-request.ts';
import { flagContent, withContent, type Flag } from '../flags/flag.ts';
import { checkRight, partsOf } from './change-parts.ts';
import { reasonOf } from './kill-switch-change.ts';
import { checkLimits } from '../flags/limits.ts';
import { personOf } from '../flags/people.ts';
import { archives, endRequestsFor } from './request-ending.ts';
import { reassignRevision, assignRevision } from './revision.ts';
import { disturbedExperiment, noteDisturbance } from './running-experiment.ts';
import { recordSwitch } from './rule-edits.ts';
import { RolloutTransitions, isAboutRollout } from '../rollouts/rollout-transitions.ts';
import type { Signer } from '../signing/signing.ts';
import { insertFlag, lockFlag, saveFlag } from '../flags/flag-store.ts';

/** The bus channel that announces committed changes; the message is the environment's name. */
export const FLAGS_CHANGED = 'flags-changed';

/** An edit of one flag. */
export interface FlagEdit {
  /** The flag, by its key or by one of its rules. `field` is the argument that names it in errors; `key` by default. */
  readonly flag: { key: string; field?: string } | { ruleId: string };
  /** The flag's revision that the caller has seen. Any newer revision makes the edit a CONFLICT. */
  readonly expectedRevision?: number | null | undefined;
  /** The action that the audit log records; parts that pull or release a kill switch are recorded as that. */
  readonly action: AuditAction;
  /** The reason for releasing a kill switch, where the edit does that. */
  readonly reason?: string | null | undefined;
  /** The argument that holds the reason for pulling a kill switch; by default `input.conditions.reason`. */
  readonly reasonField?: string;
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
export interface FlagChange {
  readonly flag: Flag;
  readonly applied: boolean;
  readonly changeRequest: ChangeRequest | null;
}

/** The operations that change flags. */
export interface FlagChanges {
  /** Creates a flag. One that needs a second person stays a draft until it is approved. */
  create(identity: CallerIdentity, newFlag: (at: Date) => Flag): Promise<FlagChange>;
  /**
   * Edits a flag. An edit that changes nothing keeps the revision and leaves no audit row. The part that pulls a kill
   * switch is applied at once, as a kill, and the rest follows as a second change.
   *
   * @throws FORBIDDEN when the caller may not make this change, or may not request it where it needs a second person
   */
  edit(identity: CallerIdentity, edit: FlagEdit): Promise<FlagChange>;
  /**
   * Applies a change request in its requester's name.
   *
   * @param find locks the request and throws when the caller may not approve it
   * @throws CONFLICT when its flag has changed since
   */
  approve(
    identity: CallerIdentity,
    find: (tx: Transaction) => Promise<ChangeRequest>,
    comment: string | null,
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
  /** Announces to all instances that environments have changed. */
  announce(...environments: Environment[]): void;
}

/** The part of a change that its audit row contains. */
export interface ChangeRecord {
  readonly action: AuditAction;
  readonly force?: boolean | undefined;
  readonly before: JsonValue;
  readonly after: JsonValue;
}

/** The wait for a lock is bounded: refusing a change that cannot be made soon is better than queueing it. */
export const TRANSACTION = { maxWait: 5_000, timeout: 10_000 } as const;

const notFound = (what: FlagEdit['flag']) =>
  'key' in what
    ? new FleetFlagError('NOT_FOUND', `There is no flag ${JSON.stringify(what.key)}.`, { field: what.field ?? 'key' })
    : new FleetFlagError('NOT_FOUND', 'This rule does not exist.', { field: 'id' });

/**
 * Gives the person who requests a change that two people must agree on. @throws FORBIDDEN when the caller is not a
 * person, such as an API key
 */
function askingPerson({ caller }: CallerIdentity, { key, safetyLevel }: Flag): string {
  if (caller.kind === 'user' && caller.userId !== null) return caller.userId;
  throw new FleetFlagError(
    'FORBIDDEN',
    `This change of ${key} (${safetyLevel}) requires the approval of a second person, which only a signed-in user may request. An API key may only pull its kill switch.`,
  );
}

/** Refuses a change based on another revision of the flag, and any change of an archived flag. */
export function checkCurrent(flag: Flag, expectedRevision: number | null | undefined): void {
  const { key } = flag;
  if (flag.draft)
    throw new FleetFlagError(
      'CONFLICT',
      `${key} is waiting for its first approval and cannot change before. To change it, cancel its change request and create the flag again.`,
    );
  checkRevision(flag, expectedRevision);
  if (flag.archivedAt !== null) throw archived(flag);
}

const archived = ({ key, revision: currentRevision }: Flag) =>
  new FleetFlagError('CONFLICT', `${key} is archived and cannot change.`, { currentRevision });

const nothing = async () => undefined;

function checkRevision({ key, revision: currentRevision }: Flag, expectedRevision: number | null | undefined): void {
  if (typeof expectedRevision === 'number' && expectedRevision !== currentRevision) {
    throw new FleetFlagError('CONFLICT', `${key} has changed since revision ${expectedRevision}.`, { currentRevision });
  }
}

/** Adds the requester and the reviewer to the audit row of an approved change. */
function withBothPeople(after: JsonValue, request: ChangeRequest, approvedBy: string): JsonObject {
  const content = isJsonObject(after) ? after : {};
  return { ...content, changeRequest: { id: request.id, requestedBy: request.requestedById, approvedBy } };
}

/** Creates the operations that change flags, with transactions that `prisma` begins. */
export function createFlagChanges(
  prisma: Transactor,
  signer: Signer,
  bus: Bus,
  logger: Logger,
  rollouts = new RolloutTransitions(databaseClock),
): FlagChanges {
  /** Announcements only make changes arrive sooner, so a lost one must not turn a committed change into an error. */
  const announce = (...environments: Environment[]) => {
    const publish = (channel: string, message: string) =>
      bus
        .publish(channel, message)
        .catch((error: unknown) =>
          logger.warn(
            { err: error, channel, environments },
            'Cannot announce a change; other processes find it by polling, about a second later',
          ),
        );
    for (const environment of new Set(environments))
      unattended(publish(FLAGS_CHANGED, environment), 'Announcing a change');
    unattended(publish(AUDIT_LOG_APPENDED, ''), 'Announcing an entry of the audit log');
  };

  const write = async (
    tx: Transaction,
    before: Flag,
    edited: Flag,
    by: string | null,
    { action, force = false }: Pick<ChangeRecord, 'action' | 'force'>,
    waited = false,
  ): Promise<Flag> => {
    const disturbed = await disturbedExperiment(tx, before, edited, force, waited);
    if (disturbed !== null) await noteDisturbance(tx, disturbed, action, by);
    const after = await reassignRevision(tx, signer, before, { ...edited, updatedAt: new Date(), updatedById: by });
    await saveFlag(tx, before, after);
    // A draft counts as new: no vehicle has it.
    await checkLimits(tx, before.draft ? null : before, after);
    return after;
  };

  const applyWithin: FlagChanges['applyWithin'] = async (tx, identity, before, edited, { force, ...record }) => {
    const halts = await rollouts.halt(tx, before, edited);
    const by = actingUser(identity.caller);
    const flag = await write(tx, before, edited, by, { action: record.action, force });
    const recordEnded = archives(before, flag) ? await endRequestsFor(tx, rollouts, identity, flag) : nothing;
    await appendAudit(tx, identity, { ...record, flagId: flag.id });
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
    { action, force = false, ...values }: ChangeRecord,
  ): Promise<FlagChange> => {
    const requestedById = askingPerson(identity, edited);
    await disturbedExperiment(tx, flag, edited, force);
    const changeRequest = await insertChangeRequest(tx, { flag, edited, action, force, requestedById, ...values });
    const after = { changeRequest: changeRequest.id, action, proposed: values.after };
    await appendAudit(tx, identity, { action: 'REQUEST_CHANGE', flagId: flag.id, before: values.before, after });
    return { flag, applied: false, changeRequest };
  };

  return {
    applyWithin,
    announce,

    async create(identity, newFlag) {
      const change = await prisma.$transaction(async (tx): Promise<FlagChange> => {
        const wanted = newFlag(new Date());
        const pulled = wanted.rules.filter(isKilling);
        const why = pulled.length === 0 ? null : reasonOf(pulled, `flags.${wanted.key}.rules`);
        const content = flagContent(wanted);
        if (needsSecondPerson(null, wanted, 'CREATE_FLAG')) {
          askingPerson(identity, wanted);
          const draft = { ...wanted, draft: true };
          await insertFlag(tx, draft);
          return request(tx, identity, draft, wanted, { action: 'CREATE_FLAG', before: null, after: content });
        }
        const flag = await assignRevision(tx, signer, wanted);
        await insertFlag(tx, flag);
        await checkLimits(tx, null, flag);
        await appendAudit(tx, identity, { action: 'CREATE_FLAG', flagId: flag.id, after: content });
        if (why !== null)
          await appendAudit(tx, identity, {
            action: 'KILL_SWITCH',
            flagId: flag.id,
            ...recordSwitch(why)({ ...flag, rules: [] }, flag),
          });
        return { flag, applied: true, changeRequest: null };
      }, TRANSACTION);
      announce(...(change.applied ? [change.flag.environment] : []));
      return change;
    },

    async edit(identity, edit) {
      const { flag: by, expectedRevision, action, force } = edit;
      const environments: Environment[] = [];
      const change = await prisma.$transaction(async (tx): Promise<FlagChange> => {
        const before = 'key' in by && !FLAG_KEY_PATTERN.test(by.key) ? null : await lockFlag(tx, by);
        if (before === null) throw notFound(by);
        checkCurrent(before, expectedRevision);

        const parts = partsOf(before, edit.edit(before), edit);
        for (const part of parts.length === 0 ? [{ action }] : parts) checkRight(identity, part.action);
        if (parts.length === 0 && edit.evenUnchanged === true) {
          await appendAudit(tx, identity, { action, flagId: before.id, ...edit.record?.(before, before) });
        }
        let flag = before;
        for (const { edited, ...values } of parts) {
          const record = { ...values, force: force === true };
          if (needsSecondPerson(flag, edited, record.action)) return request(tx, identity, flag, edited, record);
          const was = flag.environment;
          flag = await applyWithin(tx, identity, flag, edited, record);
          environments.push(was, flag.environment);
        }
        return { flag, applied: true, changeRequest: null };
      }, TRANSACTION);
      announce(...environments);
      return change;
    },

    async approve(identity, find, comment) {
      const approvedBy = personOf(identity);
      const environments: Environment[] = [];
      const approved = await prisma.$transaction(async (tx): Promise<ChangeRequest | FleetFlagError> => {
        const change = await find(tx);
        const before = await lockFlag(tx, { id: change.flagId });
        if (before === null) throw new Error(`The flag of change request ${change.id} no longer exists`);
        if (before.archivedAt !== null && !before.draft) {
          // Such requests were created, or about to be approved, while the flag was being archived. Nothing else ends
          // them.
          await (
            await endRequestsFor(tx, rollouts, identity, before)
          )();
          return archived(before);
        }
        if (before.draft) checkRevision(before, change.flagRevision);
        else checkCurrent(before, change.flagRevision);

        const edited = isAboutRollout(change)
          ? before
          : { ...withContent(before, change.proposed, new Date()), draft: false };
        const halts = await rollouts.halt(tx, before, edited);
        if (isAboutRollout(change)) await rollouts.approve(tx, before, change, approvedBy);
        const flag = edited === before ? before : await write(tx, before, edited, change.requestedById, change, true);
        const decided = await decideChangeRequest(tx, change.id, {
          status: 'approved',
          reviewedById: approvedBy,
          comment,
        });
        const recordEnded = archives(before, flag) ? await endRequestsFor(tx, rollouts, identity, flag) : nothing;
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
          after: withBothPeople(change.after, change, approvedBy),
        });
        await rollouts.recordHalts(tx, identity, halts);
        await recordEnded();
        if (flag !== before) environments.push(before.environment, flag.environment);
        return decided;
      }, TRANSACTION);
      announce(...environments);
      if (approved instanceof FleetFlagError) throw approved;
      return approved;
    },
  };
}
