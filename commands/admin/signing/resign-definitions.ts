/**
 * `npm run admin -- resign-definitions`: signs with the current key what a former one has signed
 * (docs/operations/key-rotation.md).
 */
import { parseArgs } from 'node:util';
import type { Logger } from 'pino';
import { ENVIRONMENTS, type Environment } from '../../../core/model.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { FLAGS_CHANGED } from '../../../subgraphs/flags/changes/announcement.ts';
import { resignEnvironment } from '../../../subgraphs/flags/signing/resign.ts';
import type { Signer } from '../../../subgraphs/flags/signing/signing.ts';
import { currentPositions } from '../../../subgraphs/flags/sync/sync-store.ts';
import type { Configuration } from '../../../main/configuration.ts';
import { createLogger } from '../../../main/process/log.ts';
import { presentSigner } from '../../../main/secrets/trusted-signer.ts';
import { actingPerson } from '../acting-person.ts';
import { withAdminDatabase } from '../admin-database.ts';
import { withBus } from '../announcing.ts';
import { readArguments, type AdminCommand, type Output } from '../command.ts';
import { readEnvironmentOption } from '../environment-option.ts';

/** The help text of `resign-definitions`. */
export const RESIGN_USAGE = `npm run admin -- resign-definitions [--environment development|staging|production] [--as EMAIL]
    Signs again, each with a new revision, the flags that another key than the current one has signed; in all environments unless one is named.`;

/** Runs `resign-definitions`. Exit codes: 0 done, 1 failed, 2 wrong usage. */
export const resignDefinitionsCommand: AdminCommand = async (args, configuration, output) => {
  const { environments, email } = readArguments(RESIGN_USAGE, () => {
    const { values } = parseArgs({
      args: [...args],
      options: { environment: { type: 'string' }, as: { type: 'string' } },
    });
    const named: readonly Environment[] =
      values.environment === undefined ? ENVIRONMENTS : [readEnvironmentOption(values.environment)];
    return { environments: named, email: values.as };
  });
  const logger = createLogger(configuration.logLevel);
  await withAdminDatabase(configuration, output, async (prisma) => {
    const identity = await actingPerson(prisma, email);
    const signer = await presentSigner(prisma, configuration);
    await resignEnvironments(prisma, { signer, identity, environments, configuration, logger, output });
  });
  return 0;
};

interface Resigning {
  readonly signer: Signer;
  readonly identity: CallerIdentity;
  readonly environments: readonly Environment[];
  readonly configuration: Configuration;
  readonly logger: Logger;
  readonly output: Output;
}

/** Signs again what another key has signed in the environments, announces each, and reports progress. */
export async function resignEnvironments(
  prisma: PrismaClient,
  { signer, identity, environments, configuration, logger, output }: Resigning,
): Promise<void> {
  await withBus(configuration, logger, async (bus) => {
    for (const environment of environments) {
      const count = await resignEnvironment(prisma, signer, identity, environment);
      if (count > 0)
        await bus
          .publish(FLAGS_CHANGED, environment)
          .catch((error: unknown) =>
            logger.warn(
              { err: error, environment },
              'Cannot announce a change; other processes find it by polling, about a second later',
            ),
          );
      const revision = (await currentPositions(prisma)).positions.get(environment)?.revision ?? 0;
      output.out(
        `${environment}: ${count} signed with ${signer.kid}; vehicles at revision ${revision} or above hold nothing that a former key has signed`,
      );
    }
  });
}
