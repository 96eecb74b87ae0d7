/**
 * `npm run admin -- import`: changes an environment to match a YAML file, or shows what that would change
 * (docs/guides/import-export.md).
 */
import { isUtf8 } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import { createFlagChanges } from '../../../subgraphs/flags/changes/change.ts';
import { describeMember, type FlagDifference } from '../../../subgraphs/flags/import-export/environment-difference.ts';
import { parseEnvironmentFile, type FileFault } from '../../../core/wire/flag-files/environment-file.ts';
import {
  ImportService,
  planImport,
  type ImportOutcome,
  type ImportPlan,
} from '../../../subgraphs/flags/import-export/import-service.ts';
import {
  applyPolicy,
  planPolicy,
  policyRefusal,
  type PolicyPlan,
} from '../../../subgraphs/flags/import-export/imported-policy.ts';
import { ReleasePolicyService } from '../../../subgraphs/flags/releases/policies/release-policy-service.ts';
import type { Configuration } from '../../../main/configuration.ts';
import { createLogger } from '../../../main/process/log.ts';
import { presentSigner } from '../../../main/secrets/trusted-signer.ts';
import { actingPerson } from '../acting-person.ts';
import { withAdminDatabase } from '../admin-database.ts';
import { withBus } from '../announcing.ts';
import { readArguments, type AdminCommand, type Output } from '../command.ts';
import { readEnvironmentOption } from '../environment-option.ts';

/** The help text of `import`. */
export const IMPORT_USAGE = `npm run admin -- import --environment development|staging|production --file FLAGS.yaml [--apply] [--as EMAIL] [--archive-missing]
    Shows what would change; with --apply changes it, as the user --as (role WRITE or ADMIN; default: the only administrator).
    Only an administrator may import a release policy that differs.
    --archive-missing also archives the flags that the file lacks. Exit code 3: a dry run found differences.`;

/** The exit code of a dry run that found differences. */
const EXIT_CODE_DIFFERS = 3;

/**
 * Runs `import`. Exit codes: 0 nothing differs or everything was applied, 1 faults or failures, 2 wrong usage, 3 a dry
 * run found differences.
 */
export const importCommand: AdminCommand = async (args, configuration, output) => {
  const options = readArguments(IMPORT_USAGE, () => {
    const { values } = parseArgs({
      args: [...args],
      options: {
        environment: { type: 'string' },
        file: { type: 'string' },
        apply: { type: 'boolean', default: false },
        as: { type: 'string' },
        'archive-missing': { type: 'boolean', default: false },
      },
    });
    const { file, apply, as: email } = values;
    if (file === undefined) throw new Error('--file is missing.');
    return {
      environment: readEnvironmentOption(values.environment),
      file,
      apply,
      email,
      archiveMissing: values['archive-missing'],
    };
  });

  const bytes = await readFile(options.file);
  if (!isUtf8(bytes)) return refuse([{ path: '', message: 'The file must be UTF-8 text.' }], output);
  const read = parseEnvironmentFile(bytes.toString('utf8'));
  if (read.faults.length > 0) return refuse(read.faults, output);
  return withAdminDatabase(configuration, output, async (prisma) => {
    const plan = await planImport(prisma, options.environment, read.flags, options.archiveMissing);
    const policy = await planPolicy(prisma, options.environment, read.releasePolicy);
    for (const line of policy === null ? [] : describePolicy(policy)) output.out(line);
    for (const difference of plan.differences)
      for (const line of describe(difference, options.archiveMissing)) output.out(line);
    if (plan.faults.length > 0) return refuse(plan.faults, output);
    if (plan.differences.length === 0 && policy === null) {
      output.out('No differences.');
      return 0;
    }
    if (options.apply) return apply(prisma, configuration, { flags: plan, policy }, options, output);
    const what = policy === null ? '' : 'The release policy differs. ';
    output.out(
      `${what}${plan.differences.length} flags differ. Nothing was changed; run again with --apply to change them.`,
    );
    return EXIT_CODE_DIFFERS;
  });
};

function refuse(faults: readonly FileFault[], { err }: Output): number {
  for (const { path, message, code } of faults)
    err(`${path === '' ? '' : `${path}: `}${message}${code === undefined ? '' : ` (${code})`}`);
  err(`Nothing was changed: ${faults.length} faults.`);
  return 1;
}

function describePolicy({ members, waitsFor }: PolicyPlan): string[] {
  const waits = waitsFor.length === 0 ? '' : `: looser (${waitsFor.join(', ')}), a second person has to approve it`;
  return [`~ releasePolicy${waits}`, ...members.map((member) => `    ${describeMember(member)}`)];
}

function describe(difference: FlagDifference, archiveMissing: boolean): string[] {
  const { key } = difference;
  switch (difference.kind) {
    case 'created': {
      const { type, safetyLevel, enabled, rules } = difference.entry;
      return [`+ ${key}: new (${type}, ${safetyLevel}, ${enabled ? 'enabled' : 'disabled'}, ${rules.length} rules)`];
    }
    case 'changed':
      return [`~ ${key}`, ...difference.members.map((member) => `    ${describeMember(member)}`)];
    case 'only-here':
      return [
        archiveMissing
          ? `- ${key}: not in the file, to be archived`
          : `  ${key}: only here, kept (--archive-missing archives it)`,
      ];
  }
}

async function apply(
  prisma: PrismaClient,
  configuration: Configuration,
  plan: { readonly flags: ImportPlan; readonly policy: PolicyPlan | null },
  options: { email: string | undefined; archiveMissing: boolean },
  output: Output,
): Promise<number> {
  const identity = await actingPerson(prisma, options.email);
  const refusal = plan.policy === null ? null : policyRefusal(identity);
  if (refusal !== null)
    return refuse([{ path: 'releasePolicy', message: refusal.message, code: refusal.code }], output);
  const signer = await presentSigner(prisma, configuration);
  const logger = createLogger(configuration.logLevel);
  return withBus(configuration, logger, async (bus) => {
    const changes = createFlagChanges(prisma, signer, bus, logger);
    const service = new ImportService(changes);
    let failed = 0;
    for await (const outcome of service.apply(identity, plan.flags, options.archiveMissing)) {
      if (outcome.done === 'failed') failed += 1;
      (outcome.done === 'failed' ? output.err : output.out)(lineOf(outcome));
    }
    if (failed > 0) output.err(`${failed} flags were not changed.`);
    if (plan.policy === null) return failed > 0 ? 1 : 0;
    if (failed > 0) {
      output.err('releasePolicy: not imported because of the flags');
      return 1;
    }
    try {
      const policies = new ReleasePolicyService(prisma, prisma, changes);
      const isInEffect = await applyPolicy(policies, identity, plan.policy);
      output.out(`releasePolicy: ${isInEffect ? 'changed' : 'waits for approval'}`);
      return 0;
    } catch (error) {
      if (!(error instanceof FleetFlagError)) throw error;
      output.err(`releasePolicy: failed: ${error.message} (${error.code})`);
      return 1;
    }
  });
}

function lineOf({ key, done, waits, message }: ImportOutcome): string {
  if (done === 'failed') return `${key}: failed: ${message}`;
  if (!waits) return `${key}: ${done}`;
  return done === 'created' ? `${key}: a draft that waits for approval` : `${key}: waits for approval`;
}
