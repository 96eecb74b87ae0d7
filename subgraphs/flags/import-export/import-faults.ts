/** Faults of an import, found before anything is written. */
import { FleetFlagError } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import type { FileFault, FlagEntry, RuleEntry } from '../../../core/wire/flag-files/environment-file.ts';
import { isKilled, isKilling, parseKillSwitch } from '../../../core/evaluation/rules/kill-switch.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { takenKeys, takenMessage } from '../flags/flag-keys.ts';
import type { Flag } from '../flags/flag.ts';
import { fullPartitions } from '../flags/limits.ts';
import { dependencyFaults, type PlacedChange } from '../partitions/dependencies.ts';
import { readReleasePolicy } from '../releases/policies/release-policy.ts';
import { staged } from '../releases/staging.ts';
import { segmentFaults } from '../segments/segment-change.ts';
import { findSegments } from '../segments/segment.ts';
import { ruleName, type FlagDifference } from './environment-difference.ts';
import { newFlag, withEntry } from './imported-flag.ts';

const pathOf = (key: string) => `flags.${key}`;

/**
 * Gives the faults of an import that the file alone cannot show: taken keys, types that differ, kill switches, missing
 * segments, dependencies that would be faulty, partitions that would have too many flags, and what a release policy
 * refuses. Others may come meanwhile, and signing shows whether the bytes of a partition suffice.
 *
 * @param here the flags of the environment
 * @param planned the differences that will be written
 */
export async function importFaults(
  prisma: PrismaClient,
  environment: Environment,
  here: readonly Flag[],
  entries: readonly FlagEntry[],
  planned: readonly FlagDifference[],
): Promise<FileFault[]> {
  const present = new Map(here.map((flag) => [flag.key, flag]));
  const created = entries.map(({ key }) => key).filter((key) => !present.has(key));
  const faults = [...(await keyFaults(prisma, created)), ...misfits(present, entries)];
  const changes = changesOf(environment, present, planned);
  const results = new Map([...present, ...changes.map(({ after }): [string, Flag] => [after.key, after])]);
  const living = [...results.values()].filter(({ archivedAt }) => archivedAt === null);
  const refusals = [
    ...(await segmentFaults(
      changes.flatMap(({ before, after }) =>
        after.rules.map((rule, index) => ({
          ...{ before, flag: { ...after, release: null, rules: [rule] } },
          field: `${pathOf(after.key)}.rules.${index}.conditions.segment`,
        })),
      ),
      (keys) => findSegments(prisma, keys),
    )),
    ...(await dependencyFaults(prisma, changes)),
    ...fullPartitions(environment, changes, living, ({ key }) => `${pathOf(key)}.scope`),
  ];
  return [...faults, ...refusals.map(faultOf), ...(await stagingFaults(prisma, environment, changes))];
}

/**
 * Gives the faults of changes that no stage of a release can hold back, and that the environment's policy therefore
 * refuses: an enabled flag that is archived, or gets another scope.
 */
async function stagingFaults(
  prisma: PrismaClient,
  environment: Environment,
  changes: readonly PlacedChange[],
): Promise<FileFault[]> {
  const policy = await readReleasePolicy(prisma, environment);
  if (policy === null) return [];
  return changes.flatMap(({ before, after }): FileFault[] => {
    try {
      staged(before, after, { policyOf: () => policy, isFaulty: false, newId: () => '' });
      return [];
    } catch (error) {
      if (!(error instanceof FleetFlagError)) throw error;
      const member = after.archivedAt === null ? '.scope' : '';
      return [{ path: `${pathOf(after.key)}${member}`, message: error.message, code: error.code }];
    }
  });
}

/**
 * Gives a refusal with the path that the file has: its requirements name a `flag`, and those of the API a `flagKey`.
 */
const faultOf = ({ code, message, details: { field = '' } }: FleetFlagError): FileFault => ({
  ...{ path: field.replace(/(\.requires\.\d+\.flag)Key$/, '$1'), message, code },
});

/** Gives the changes that an import will make, as they are before their signing. */
function changesOf(
  environment: Environment,
  present: ReadonlyMap<string, Flag>,
  planned: readonly FlagDifference[],
): PlacedChange[] {
  const at = new Date();
  return planned.flatMap((difference): PlacedChange[] => {
    const before = present.get(difference.key) ?? null;
    const path = pathOf(difference.key);
    if (difference.kind === 'created')
      return [{ before, after: newFlag(null, environment, difference.entry, at), place: { path, hasMembers: true } }];
    if (before === null) return [];
    if (difference.kind === 'only-here')
      return [{ before, after: { ...before, enabled: false, archivedAt: at }, place: { path, hasMembers: false } }];
    return [{ before, after: withEntry(before, environment, difference.entry), place: { path, hasMembers: true } }];
  });
}

async function keyFaults(prisma: PrismaClient, keys: readonly string[]): Promise<FileFault[]> {
  const wanted = new Map(keys.map((key) => [key.toLowerCase(), key]));
  const taken = await takenKeys(prisma, keys);
  return taken.map((other) => {
    const key = wanted.get(other.key.toLowerCase()) ?? other.key;
    return { path: `flags.${key}`, message: takenMessage(key, other) };
  });
}

const saysWhy = ({ conditions }: RuleEntry) => parseKillSwitch(conditions, 'conditions').reason !== undefined;

function misfits(present: ReadonlyMap<string, Flag>, entries: readonly FlagEntry[]): FileFault[] {
  const faults: FileFault[] = [];
  for (const { key, type, rules } of entries) {
    const flag = present.get(key);
    for (const [index, rule] of rules.entries()) {
      const isNew = !flag?.rules.some((other) => ruleName(other) === ruleName(rule) && isKilling(other));
      if (isKilling(rule) && isNew && !saysWhy(rule))
        faults.push({
          path: `flags.${key}.rules.${index}.conditions.reason`,
          message: 'A kill switch requires a reason of 1 to 1,000 characters.',
        });
    }
    if (flag === undefined) continue;
    if (flag.type !== type)
      faults.push({
        path: `flags.${key}.type`,
        message: `The flag is of type ${flag.type}, and the type of a flag cannot change.`,
      });
    // A file older than the kill must not turn the flag on again for vehicles on the road.
    if (isKilled(flag.rules) && !isKilled(rules)) {
      faults.push({
        path: `flags.${key}.rules`,
        message:
          "The flag's kill switch is pulled, and an import cannot release it. Release it first, or export again so that the file has its rule.",
      });
    }
  }
  return faults;
}
