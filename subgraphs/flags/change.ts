/**
 * The one way in which a flag changes: one transaction that locks, edits, counts up the revision, signs, writes and
 * records, and then one announcement. Source: design.md, "Revisions: how nothing is ever missed".
 */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { FleetFlagError } from '../../core/errors.ts';
import { FLAG_KEY_PATTERN, type Environment, type JsonValue } from '../../core/model.ts';
import type { CallerIdentity } from '../../core/protocol/caller.ts';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import { appendAudit, type AuditAction } from '../shared/audit-trail.ts';
import type { Bus } from '../shared/bus.ts';
import { flagContent, type Flag } from './flag.ts';
import { checkLimits } from './limits.ts';
import type { Signer } from './signing.ts';
import { insertFlag, lockFlag, nextRevision, putTombstone, removeTombstone, saveFlag, type Transaction } from './store.ts';

/** The bus channel on which a committed change is announced; the message is the environment's name. */
export const FLAGS_CHANGED = 'flags-changed';

export interface FlagEdit {
  readonly flag: { key: string } | { ruleId: string };
  /** The flag's revision that the caller has seen; a change that came between is a CONFLICT. */
  readonly expectedRevision?: number | null | undefined;
  readonly action: AuditAction;
  /** The flag as it should become. Pure: what it changes is found by comparing. Throws what is refused. */
  readonly edit: (flag: Flag) => Flag;
  /** What the audit row shows; by default the whole content before and after. */
  readonly record?: (before: Flag, after: Flag) => { before: JsonValue; after: JsonValue };
}

export interface FlagChanges {
  create(identity: CallerIdentity, draft: (at: Date) => Flag): Promise<Flag>;
  /** Gives the flag as it then is. An edit that changes nothing leaves the revision alone and no trace. */
  edit(identity: CallerIdentity, edit: FlagEdit): Promise<Flag>;
}

/** Waiting for a lock is bounded: a change that cannot be made soon is better refused than queued. */
const TRANSACTION = { maxWait: 5_000, timeout: 10_000 } as const;

const notFound = (what: FlagEdit['flag']) =>
  'key' in what
    ? new FleetFlagError('NOT_FOUND', `There is no flag ${JSON.stringify(what.key)}.`, { field: 'key' })
    : new FleetFlagError('NOT_FOUND', 'There is no such rule.', { field: 'id' });

export function createFlagChanges(prisma: PrismaClient, signer: Signer, bus: Bus, logger: Logger): FlagChanges {
  /** Announcements only make changes arrive sooner: losing one must not turn a committed change into an error. */
  const announce = (...environments: Environment[]) => {
    for (const environment of new Set(environments)) {
      bus.publish(FLAGS_CHANGED, environment).catch((error: unknown) => logger.warn({ err: error }, 'A change was not announced'));
    }
  };

  const stamped = async (tx: Transaction, flag: Flag): Promise<Flag> => {
    const numbered = { ...flag, revision: await nextRevision(tx, flag.environment) };
    return { ...numbered, signedDefinition: await signer.definition(numbered) };
  };

  /** Takes `flag` out of `environment`: a new revision there and a tombstone for those who were away. */
  const leave = async (tx: Transaction, environment: Environment, key: string): Promise<{ revision: number; jws: string }> => {
    const revision = await nextRevision(tx, environment);
    const jws = await signer.tombstone(environment, key, revision);
    await putTombstone(tx, environment, key, revision, jws);
    return { revision, jws };
  };

  /** The two environments' rows in one order for all, or two promotions crossing would block each other. */
  const move = async (tx: Transaction, before: Flag, after: Flag): Promise<Flag> => {
    const [first] = [before.environment, after.environment].sort();
    const leaveFirst = first === before.environment;
    if (leaveFirst) await leave(tx, before.environment, before.key);
    const moved = await stamped(tx, after);
    if (!leaveFirst) await leave(tx, before.environment, before.key);
    await removeTombstone(tx, after.environment, after.key);
    return moved;
  };

  return {
    async create(identity, draft) {
      const flag = await prisma.$transaction(async (tx) => {
        const created = await stamped(tx, draft(new Date()));
        await insertFlag(tx, created);
        await checkLimits(tx, null, created);
        await appendAudit(tx, identity, { action: 'CREATE_FLAG', flagId: created.id, after: flagContent(created) });
        return created;
      }, TRANSACTION);
      announce(flag.environment);
      return flag;
    },

    async edit(identity, { flag: by, expectedRevision, action, edit, record }) {
      const environments: Environment[] = [];
      const flag = await prisma.$transaction(async (tx) => {
        const before = 'key' in by && !FLAG_KEY_PATTERN.test(by.key) ? null : await lockFlag(tx, by);
        if (before === null) throw notFound(by);
        const conflict = (message: string) => new FleetFlagError('CONFLICT', message, { currentRevision: before.revision });
        if (typeof expectedRevision === 'number' && expectedRevision !== before.revision) {
          throw conflict(`${before.key} has changed since revision ${expectedRevision}.`);
        }
        if (before.archivedAt !== null) throw conflict(`${before.key} is archived and cannot change.`);

        const edited = edit(before);
        const content = flagContent(edited);
        if (isDeepStrictEqual(content, flagContent(before))) return before;
        const draft: Flag = { ...edited, updatedAt: new Date(), updatedById: identity.caller.kind === 'user' ? identity.caller.userId : null };

        let after: Flag;
        if (draft.archivedAt !== null) {
          const { revision, jws } = await leave(tx, before.environment, before.key);
          after = { ...draft, revision, signedDefinition: jws };
        } else if (draft.environment !== before.environment) after = await move(tx, before, draft);
        else after = await stamped(tx, draft);

        await saveFlag(tx, before, after);
        await checkLimits(tx, before, after);
        const values = record?.(before, after) ?? { before: flagContent(before), after: content };
        await appendAudit(tx, identity, { action, flagId: after.id, ...values });
        environments.push(before.environment, after.environment);
        return after;
      }, TRANSACTION);
      announce(...environments);
      return flag;
    },
  };
}
