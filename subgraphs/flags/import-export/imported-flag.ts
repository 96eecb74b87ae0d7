/** Flags with the content that a file has for them. Pure. */
import { randomUUID } from 'node:crypto';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import type { FlagEntry } from '../../../core/wire/flag-files/environment-file.ts';
import { pairRules, sameRule, sameSubject } from './environment-difference.ts';
import { ruleEntry } from './environment-file.ts';
import type { Flag, Rule } from '../flags/flag.ts';

/** Gives a new flag with a file's content. */
export function newFlag(by: string | null, environment: Environment, entry: FlagEntry, at: Date): Flag {
  return {
    ...{
      id: randomUUID(),
      revision: 0,
      noReturnBelow: 0,
      totalEvaluations: 0,
      activeVehicles: 0,
      lastEvaluationAt: null,
    },
    ...{ createdById: by, updatedById: by, archivedAt: null, draft: false, release: null, signedDefinition: '' },
    ...entry,
    environment,
    createdAt: at,
    updatedAt: at,
    rules: entry.rules.map((rule) => ({ ...rule, id: randomUUID(), createdAt: at, updatedAt: at })),
  };
}

/**
 * Gives the flag with the file's content. A rule that stays or moves keeps its id, and with it its rollout and its
 * whitelist's digests. One that only the stable content of a release has left comes back as itself, so that a file from
 * before the release ends it.
 *
 * @throws CONFLICT where the flag has moved to another environment
 */
export function withEntry(flag: Flag, environment: Environment, entry: FlagEntry): Flag {
  if (flag.environment !== environment)
    throw new FleetFlagError('CONFLICT', `${flag.key} has moved to ${flag.environment}.`, {
      currentRevision: flag.revision,
    });
  const { key: _, type: __, rules: given, ...own } = entry;
  const present = new Map(flag.rules.map((rule) => [ruleEntry(rule), rule]));
  const pairs = pairRules([...present.keys()], given);
  const at = new Date();
  const left = (flag.release?.stable.rules ?? []).filter(({ id }) => flag.rules.every((rule) => rule.id !== id));
  const rules = given.map((rule): Rule => {
    const paired = pairs.get(rule);
    const isItself = paired !== undefined && sameSubject(paired, rule);
    const back = isItself ? undefined : left.find((one) => sameRule(ruleEntry(one), rule));
    if (back !== undefined) return back;
    const was = paired && present.get(paired);
    if (was === undefined) return { ...rule, id: randomUUID(), createdAt: at, updatedAt: at };
    return sameRule(ruleEntry(was), rule) ? was : { ...was, ...rule, updatedAt: at };
  });
  return { ...flag, ...own, rules };
}
