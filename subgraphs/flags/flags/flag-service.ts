/** The use cases of flags and rules (reads: reading/flag-queries.ts). Each mutation is one change (change.ts). */
import { randomUUID } from 'node:crypto';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import { actingUser, type CallerIdentity } from '../../../core/access/caller.ts';
import { checkFlagValue } from '../../../core/evaluation/values/flag-value.ts';
import { mayKill } from '../../../core/evaluation/rules/kill-switch.ts';
import { readReason } from '../../../core/validation/text.ts';
import { validateActivation, validateKillActivation } from '../../../core/validation/validate-activation.ts';
import { validateValueSchema } from '../../../core/contracts/value-contract.ts';
import { validateFlagDescription, validateFlagKey, validateFlagName } from '../../../core/validation/validate-flag.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { FlagChangeOutcome, FlagChanges, GivenScope } from '../changes/change.ts';
import { checkFields } from '../changes/edits/contract-checks.ts';
import type { Flag } from './flag.ts';
import type {
  ChangeInput,
  CreateFlagInput,
  RuleInput,
  UpdateFlagInput,
  UpdateRuleInput,
} from '../generated/resolvers.ts';
import type { LaggingReads } from '../../shared/postgres/replica-reads.ts';
import { fieldsEdit, readRelations, versionEdit } from '../changes/edits/flag-edits.ts';
import {
  changedRule,
  newRule,
  recordSwitch,
  ruleContentIn,
  ruleOf,
  withKillSwitch,
  withOrder,
  withRule,
  withoutRule,
} from '../changes/edits/rule-edits.ts';
import type { ChangeSetOutcome } from '../changes/sets/change-set.ts';
import { givenScopes, setEdits } from '../changes/sets/set-edits.ts';
import { FlagQueries } from './reading/flag-queries.ts';
import { versionAt } from './versions/flag-versions.ts';

type Revision = number | null | undefined;
/** The permission of a change to disturb the flag's running experiment. */
type Force = boolean | null | undefined;

const givenScope = (models: readonly string[] | null | undefined): GivenScope | undefined =>
  models == null ? undefined : { field: 'input.scope', models };

/** The lane of kill switches, which wait for no other change and for no shared connection. */
export interface KillLane {
  readonly changes: FlagChanges;
  readonly prisma: PrismaClient;
}

/**
 * Reads and changes flags.
 *
 * Every change throws FORBIDDEN, NOT_FOUND, BAD_USER_INPUT at the argument's path, CONFLICT when the flag has changed
 * since `expectedRevision`, is archived, or has a running experiment that the change would disturb without `force`, and
 * LIMIT_EXCEEDED when the environment is full.
 */
export class FlagService extends FlagQueries {
  constructor(
    prisma: PrismaClient,
    private readonly changes: FlagChanges,
    private readonly killLane: KillLane = { changes, prisma },
    lagging?: LaggingReads,
  ) {
    super(prisma, lagging);
  }

  /** Creates a flag. Throws BAD_USER_INPUT, or CONFLICT when the key is taken (in any environment, archived or not). */
  async createFlag(identity: CallerIdentity, input: CreateFlagInput): Promise<FlagChangeOutcome> {
    validateFlagKey(input.key, 'input.key');
    const name = validateFlagName(input.name, 'input.name');
    const description = validateFlagDescription(input.description, 'input.description');
    const defaultValue = checkFlagValue(input.type, input.defaultValue, 'input.defaultValue');
    const valueSchema = validateValueSchema(input.valueSchema, 'input.valueSchema');
    checkFields({ type: input.type, defaultValue, valueSchema, rules: [] }, input, 'input');
    const activation = validateActivation(input.activation, 'input.activation');
    const killActivation = validateKillActivation(input.killActivation, 'input.killActivation');
    const relations = readRelations(input, input.key, { scope: null, requires: [], excludes: [] });
    const by = actingUser(identity.caller);
    const change = await this.changes.create(identity, (at) => ({
      id: randomUUID(),
      key: input.key,
      name,
      description,
      type: input.type,
      defaultValue,
      enabled: input.enabled ?? false,
      safetyLevel: input.safetyLevel,
      environment: input.environment,
      ...relations,
      ...{ valueSchema, activation, killActivation },
      release: null,
      revision: 0,
      noReturnBelow: 0,
      rules: [],
      totalEvaluations: 0,
      activeVehicles: 0,
      lastEvaluationAt: null,
      createdById: by,
      updatedById: by,
      createdAt: at,
      updatedAt: at,
      archivedAt: null,
      draft: false,
      signedDefinition: '',
    }));
    return { ...change, given: givenScope(input.scope) };
  }

  /** Changes a flag's own fields. */
  async updateFlag(
    identity: CallerIdentity,
    key: string,
    input: UpdateFlagInput,
    expectedRevision: Revision,
    force?: Force,
  ): Promise<FlagChangeOutcome> {
    const change = await this.changes.edit(identity, {
      flag: { key },
      expectedRevision,
      force,
      action: 'UPDATE_FLAG',
      edit: fieldsEdit(input),
    });
    return { ...change, given: givenScope(input.scope) };
  }

  /**
   * Makes several changes of one environment as one.
   *
   * @throws as each of them alone, at its path below `changes`; as `ChangeSets.apply`
   */
  async applyChanges(
    identity: CallerIdentity,
    environment: Environment,
    changes: readonly ChangeInput[],
    expectedRevision: Revision,
    force?: Force,
  ): Promise<ChangeSetOutcome> {
    const set = await this.changes.applySet(identity, {
      ...{ environment, changes: setEdits(changes), expectedRevision, force },
    });
    return { ...set, given: givenScopes(changes) };
  }

  /** Enables or disables a flag. */
  async setEnabled(
    identity: CallerIdentity,
    key: string,
    enabled: boolean,
    expectedRevision: Revision,
  ): Promise<FlagChangeOutcome> {
    const action = enabled ? 'ENABLE_FLAG' : 'DISABLE_FLAG';
    return this.changes.edit(identity, {
      flag: { key },
      expectedRevision,
      action,
      edit: (flag) => ({ ...flag, enabled }),
    });
  }

  /** Archives a flag: vehicles drop it, and it can no longer change. */
  async archiveFlag(
    identity: CallerIdentity,
    key: string,
    expectedRevision: Revision,
    force?: Force,
  ): Promise<FlagChangeOutcome> {
    return this.changes.edit(identity, {
      flag: { key },
      expectedRevision,
      force,
      action: 'ARCHIVE_FLAG',
      place: { path: null, hasMembers: false },
      edit: (flag) => ({ ...flag, enabled: false, archivedAt: new Date() }),
    });
  }

  /** Brings an archived flag back into its environment, disabled. CONFLICT when it is not archived. */
  async unarchiveFlag(identity: CallerIdentity, key: string, expectedRevision: Revision): Promise<FlagChangeOutcome> {
    return this.changes.edit(identity, {
      flag: { key },
      expectedRevision,
      action: 'UNARCHIVE_FLAG',
      place: { path: 'key', hasMembers: false },
      unarchives: true,
      // It comes back disabled and so moves no vehicle between the arms of an experiment; that is only noted.
      force: true,
      edit(flag) {
        if (flag.archivedAt === null)
          throw new FleetFlagError('CONFLICT', `${key} is not archived.`, { currentRevision: flag.revision });
        return { ...flag, enabled: false, archivedAt: null };
      },
    });
  }

  /**
   * Gives a flag the content that it had at an earlier revision of its environment. Its kill switches and its
   * environment stay as they are: restoring must neither release a kill nor move the flag.
   *
   * @throws NOT_FOUND at `revision` when the flag was not there then, or its content was not kept; as `checkRestored`
   */
  async restoreFlag(
    identity: CallerIdentity,
    key: string,
    revision: number,
    expectedRevision: Revision,
    force?: Force,
  ): Promise<FlagChangeOutcome> {
    const [present] = await this.byKeys([key]);
    const restored = await this.restoring(present ?? null, revision);
    return this.changes.edit(identity, {
      flag: { key },
      expectedRevision,
      force,
      action: 'RESTORE_FLAG',
      place: { path: 'revision', hasMembers: false },
      edit: restored,
    });
  }

  /**
   * Gives the edit that restores an earlier content, of which it throws as `restoreFlag`.
   *
   * @param path the argument that holds the revision
   */
  async restoring(flag: Flag | null, revision: number, path?: string): Promise<(flag: Flag) => Flag> {
    const version = flag === null ? null : await versionAt(this.prisma, flag.id, flag.environment, revision);
    return versionEdit(version, revision, path);
  }

  /** Adds a rule. */
  async createRule(
    identity: CallerIdentity,
    flagKey: string,
    input: RuleInput,
    expectedRevision: Revision,
    force?: Force,
  ): Promise<FlagChangeOutcome> {
    const id = randomUUID();
    // A kill uses the kill lane, whichever mutation carries it.
    const changes = input.type === 'kill_switch' ? this.killLane.changes : this.changes;
    return changes.edit(identity, {
      flag: { key: flagKey, field: 'flagKey' },
      expectedRevision,
      force,
      action: 'CREATE_RULE',
      edit: (flag) => withRule(flag, newRule(id, input, flag.type)),
      record: (_before, after) => ({ before: null, after: ruleContentIn(after, id) }),
    });
  }

  /**
   * Changes a rule.
   *
   * @param reason the reason for releasing a kill switch, where the update does that
   */
  async updateRule(
    identity: CallerIdentity,
    id: string,
    input: UpdateRuleInput,
    expectedRevision: Revision,
    force?: Force,
    reason?: string | null,
  ): Promise<FlagChangeOutcome> {
    const changes = (await this.#mayKill(id, input)) ? this.killLane.changes : this.changes;
    return changes.edit(identity, {
      flag: { ruleId: id },
      expectedRevision,
      force,
      reason: typeof reason === 'string' ? readReason(reason, 'reason') : null,
      action: 'UPDATE_RULE',
      edit: (flag) => withRule(flag, changedRule(ruleOf(flag, id), input, flag.type)),
      record: (before, after) => ({ before: ruleContentIn(before, id), after: ruleContentIn(after, id) }),
    });
  }

  /**
   * Checks whether an update may pull a kill switch. Only kill switches have such conditions; an update that only
   * enables a rule depends on the rule's type.
   */
  async #mayKill(ruleId: string, input: UpdateRuleInput): Promise<boolean> {
    if (!mayKill(input) || input.conditions !== undefined) return mayKill(input);
    return (
      (await this.killLane.prisma.rule.findUnique({ where: { id: ruleId }, select: { type: true } }))?.type ===
      'kill_switch'
    );
  }

  /**
   * Deletes a rule.
   *
   * @param reason as of `updateRule`
   */
  async deleteRule(
    identity: CallerIdentity,
    id: string,
    expectedRevision: Revision,
    force?: Force,
    reason?: string | null,
  ): Promise<FlagChangeOutcome> {
    return this.changes.edit(identity, {
      flag: { ruleId: id },
      expectedRevision,
      force,
      reason: typeof reason === 'string' ? readReason(reason, 'reason') : null,
      action: 'DELETE_RULE',
      // The second of two concurrent deletions finds the rule missing only here, after it has the lock.
      edit: (flag) => withoutRule(flag, id),
      record: (before) => ({ before: ruleContentIn(before, id), after: null }),
    });
  }

  /**
   * Puts the flag's rules into another order, by one change of all their priorities.
   *
   * @param ruleIds the flag's rules without its kill switches, each once, the one that is tried first at the beginning
   * @throws as `withOrder`
   */
  async reorderRules(
    identity: CallerIdentity,
    flagKey: string,
    ruleIds: readonly string[],
    expectedRevision: Revision,
    force?: Force,
  ): Promise<FlagChangeOutcome> {
    return this.changes.edit(identity, {
      flag: { key: flagKey, field: 'flagKey' },
      expectedRevision,
      force,
      action: 'REORDER_RULES',
      edit: (flag) => withOrder(flag, ruleIds),
    });
  }

  /** Pulls the flag's kill switch, which holds the flag at its default value at once, whatever its safety level. */
  async killSwitch(identity: CallerIdentity, flagKey: string, reason: string): Promise<FlagChangeOutcome> {
    const why = readReason(reason, 'reason');
    return this.killLane.changes.edit(identity, {
      flag: { key: flagKey, field: 'flagKey' },
      action: 'KILL_SWITCH',
      // A second kill changes nothing, but the audit log records its author and reason, too.
      evenUnchanged: true,
      edit: (flag) => withKillSwitch(flag, why),
      record: recordSwitch(why),
    });
  }

  /** Releases the flag's kill switches. */
  async releaseKillSwitch(identity: CallerIdentity, flagKey: string, reason: string): Promise<FlagChangeOutcome> {
    const why = readReason(reason, 'reason');
    return this.changes.edit(identity, {
      flag: { key: flagKey, field: 'flagKey' },
      action: 'RELEASE_KILL_SWITCH',
      edit: (flag) => ({
        ...flag,
        rules: flag.rules.map((rule) =>
          rule.type === 'kill_switch' && rule.enabled ? { ...rule, enabled: false, updatedAt: new Date() } : rule,
        ),
      }),
      record: recordSwitch(why),
    });
  }
}
