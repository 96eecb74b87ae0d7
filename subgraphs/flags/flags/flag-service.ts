/** The use cases of flags and rules. Each mutation is one change (change.ts). */
import { randomUUID } from 'node:crypto';
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import { FLAG_KEY_PATTERN, type JsonValue } from '../../../core/model.ts';
import { actingUser, type CallerIdentity } from '../../../core/access/caller.ts';
import { checkFlagValue } from '../../../core/evaluation/flag-value.ts';
import { checkText } from '../../../core/json/json-value.ts';
import { mayKill } from '../../../core/evaluation/rules/kill-switch.ts';
import { readReason } from '../../../core/validation/text.ts';
import { validateFlagDescription, validateFlagKey, validateFlagName } from '../../../core/validation/validate-flag.ts';
import { validateRuleInput } from '../../../core/validation/validate-rule.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Page } from '../../../core/wire/pagination.ts';
import type { FlagChange, FlagChanges } from '../changes/change.ts';
import { ruleContent, type Flag, type Rule } from './flag.ts';
import type {
  CreateFlagInput,
  FlagFilter,
  FlagOrder,
  RuleInput,
  UpdateFlagInput,
  UpdateRuleInput,
} from '../generated/resolvers.ts';
import { NEWEST_FIRST } from './flag-order.ts';
import { newRule, recordSwitch, withKillSwitch, withRule } from '../changes/rule-edits.ts';
import { findFlagsById, findFlagsByKey, searchFlags, type FlagPage } from './flag-reads.ts';

/** The most characters of a search. */
export const MAX_SEARCH = 200;
const MAX_KEY = 100;

type Revision = number | null | undefined;
/** Whether a change may disturb the flag's running experiment. */
type Force = boolean | null | undefined;

/** Throws BAD_USER_INPUT for text that is not well-formed, a search that is too long, or a prefix longer than any key. */
export function checkSearch({ search, keyPrefix }: FlagFilter): void {
  if (Array.from(search ?? '').length > MAX_SEARCH)
    throw badInput('filter.search', `A search must have at most ${MAX_SEARCH} characters.`);
  checkText(search ?? '', 'filter.search');
  if (Array.from(keyPrefix ?? '').length > MAX_KEY)
    throw badInput('filter.keyPrefix', `A key must have at most ${MAX_KEY} characters.`);
  checkText(keyPrefix ?? '', 'filter.keyPrefix');
}

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
export class FlagService {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly changes: FlagChanges,
    private readonly killLane: KillLane = { changes, prisma },
  ) {}

  /** Gives flags by id; unknown ids are left out. */
  async byIds(ids: readonly string[]): Promise<Flag[]> {
    return ids.length === 0 ? [] : findFlagsById(this.prisma, ids);
  }

  /** Gives flags by key; unknown keys are left out. */
  async byKeys(keys: readonly string[]): Promise<Flag[]> {
    // A text that is no valid key names no flag, and PostgreSQL does not accept every text.
    const valid = keys.filter((key) => FLAG_KEY_PATTERN.test(key));
    return valid.length === 0 ? [] : findFlagsByKey(this.prisma, valid);
  }

  /** Gives one page of the matching flags. Throws as `checkSearch`. */
  async search(search: FlagFilter, page: Page, order: FlagOrder = NEWEST_FIRST): Promise<FlagPage> {
    checkSearch(search);
    return searchFlags(this.prisma, search, page, order);
  }

  /** Creates a flag. Throws BAD_USER_INPUT, or CONFLICT when the key is taken (in any environment, archived or not). */
  async createFlag(identity: CallerIdentity, input: CreateFlagInput): Promise<FlagChange> {
    validateFlagKey(input.key, 'input.key');
    const name = validateFlagName(input.name, 'input.name');
    const description = validateFlagDescription(input.description, 'input.description');
    const defaultValue = checkFlagValue(input.type, input.defaultValue, 'input.defaultValue');
    const by = actingUser(identity.caller);
    return this.changes.create(identity, (at) => ({
      id: randomUUID(),
      key: input.key,
      name,
      description,
      type: input.type,
      defaultValue,
      enabled: input.enabled ?? false,
      safetyLevel: input.safetyLevel,
      environment: input.environment,
      revision: 0,
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
  }

  /** Changes a flag's own fields. */
  async updateFlag(
    identity: CallerIdentity,
    key: string,
    input: UpdateFlagInput,
    expectedRevision: Revision,
    force?: Force,
  ): Promise<FlagChange> {
    for (const field of ['name', 'defaultValue', 'safetyLevel', 'environment'] as const) {
      if (input[field] === null)
        throw badInput(`input.${field}`, `${field} must not be null; omit it to keep the current value.`);
    }
    const name = input.name === undefined ? undefined : validateFlagName(input.name, 'input.name');
    const description =
      input.description === undefined ? undefined : validateFlagDescription(input.description, 'input.description');
    return this.changes.edit(identity, {
      flag: { key },
      expectedRevision,
      force,
      action: 'UPDATE_FLAG',
      edit: (flag) => {
        const defaultValue =
          input.defaultValue === undefined
            ? flag.defaultValue
            : checkFlagValue(flag.type, input.defaultValue, 'input.defaultValue');
        return {
          ...flag,
          name: name ?? flag.name,
          description: description === undefined ? flag.description : description,
          defaultValue,
          safetyLevel: input.safetyLevel ?? flag.safetyLevel,
          environment: input.environment ?? flag.environment,
        };
      },
    });
  }

  /** Enables or disables a flag. */
  async setEnabled(
    identity: CallerIdentity,
    key: string,
    enabled: boolean,
    expectedRevision: Revision,
  ): Promise<FlagChange> {
    const action = enabled ? 'ENABLE_FLAG' : 'DISABLE_FLAG';
    return this.changes.edit(identity, {
      flag: { key },
      expectedRevision,
      action,
      edit: (flag) => ({ ...flag, enabled }),
    });
  }

  /** Archives a flag: vehicles drop it, and it cannot change any more. */
  async archiveFlag(
    identity: CallerIdentity,
    key: string,
    expectedRevision: Revision,
    force?: Force,
  ): Promise<FlagChange> {
    return this.changes.edit(identity, {
      flag: { key },
      expectedRevision,
      force,
      action: 'ARCHIVE_FLAG',
      edit: (flag) => ({ ...flag, enabled: false, archivedAt: new Date() }),
    });
  }

  /** Adds a rule. */
  async createRule(
    identity: CallerIdentity,
    flagKey: string,
    input: RuleInput,
    expectedRevision: Revision,
    force?: Force,
  ): Promise<FlagChange> {
    const id = randomUUID();
    // A kill uses the kill lane, whichever mutation carries it.
    const changes = input.type === 'kill_switch' ? this.killLane.changes : this.changes;
    return changes.edit(identity, {
      flag: { key: flagKey, field: 'flagKey' },
      expectedRevision,
      force,
      action: 'CREATE_RULE',
      edit: (flag) => withRule(flag, newRule(id, input, flag.type)),
      record: (_before, after) => ({ before: null, after: contentOf(after, id) }),
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
  ): Promise<FlagChange> {
    const changes = (await this.#mayKill(id, input)) ? this.killLane.changes : this.changes;
    return changes.edit(identity, {
      flag: { ruleId: id },
      expectedRevision,
      force,
      reason: typeof reason === 'string' ? readReason(reason, 'reason') : null,
      action: 'UPDATE_RULE',
      edit: (flag) => {
        const rule = ruleOf(flag, id);
        for (const field of ['priority', 'enabled', 'conditions'] as const) {
          if (input[field] === null)
            throw badInput(`input.${field}`, `${field} must not be null; omit it to keep the current value.`);
        }
        const given = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
        const parts = validateRuleInput(
          { ...rule, value: rule.value ?? undefined, ...given, type: rule.type },
          flag.type,
          'input',
        );
        return withRule(flag, { ...rule, ...parts, variant: parts.variant ?? null, updatedAt: new Date() });
      },
      record: (before, after) => ({ before: contentOf(before, id), after: contentOf(after, id) }),
    });
  }

  /**
   * Checks whether an update may pull a kill switch. Only kill switches have such conditions; an update that only
   * enables a rule needs a look at the rule's type.
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
  ): Promise<FlagChange> {
    return this.changes.edit(identity, {
      flag: { ruleId: id },
      expectedRevision,
      force,
      reason: typeof reason === 'string' ? readReason(reason, 'reason') : null,
      action: 'DELETE_RULE',
      edit: (flag) => {
        // Of two concurrent deletions, the second finds the rule missing only here, after it has the lock.
        const rule = ruleOf(flag, id);
        return { ...flag, rules: flag.rules.filter((other) => other !== rule) };
      },
      record: (before) => ({ before: contentOf(before, id), after: null }),
    });
  }

  /** Pulls the flag's kill switch, which holds the flag at its default value at once, whatever its safety level. */
  async killSwitch(identity: CallerIdentity, flagKey: string, reason: string): Promise<FlagChange> {
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
  async releaseKillSwitch(identity: CallerIdentity, flagKey: string, reason: string): Promise<FlagChange> {
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

function ruleOf(flag: Flag, id: string): Rule {
  const rule = flag.rules.find((candidate) => candidate.id === id);
  if (rule === undefined) throw new FleetFlagError('NOT_FOUND', 'This rule does not exist.', { field: 'id' });
  return rule;
}

function contentOf(flag: Flag, ruleId: string): JsonValue {
  const rule = flag.rules.find((candidate) => candidate.id === ruleId);
  return rule === undefined ? null : ruleContent(rule);
}
