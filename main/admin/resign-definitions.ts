/** `npm run admin -- resign-definitions`: signs with the present key what a former one has signed (docs/key-rotation.md). */
import { parseArgs } from 'node:util';
import { ENVIRONMENTS, type Environment } from '../../core/model.ts';
import { FLAGS_CHANGED } from '../../subgraphs/flags/change.ts';
import { resignEnvironment } from '../../subgraphs/flags/resign.ts';
import { currentPositions } from '../../subgraphs/flags/store.ts';
import { createLogger } from '../log.ts';
import { actingPerson } from './acting-person.ts';
import { withAdminDatabase } from './admin-database.ts';
import { withBus } from './announcing.ts';
import { readArguments, type AdminCommand } from './command.ts';
import { readEnvironment } from './environment-option.ts';
import { presentSigner } from './present-signer.ts';

export const RESIGN_USAGE = `npm run admin -- resign-definitions [--environment development|staging|production] [--as EMAIL]
    Signs anew, each with a new revision, what another key than the present one has signed; in all environments unless one is named.`;

/** Exit codes: 0, 1 failed, 2 usage. */
export const resignDefinitionsCommand: AdminCommand = async (args, configuration, output) => {
  const { environments, email } = readArguments(RESIGN_USAGE, () => {
    const { values } = parseArgs({ args: [...args], options: { environment: { type: 'string' }, as: { type: 'string' } } });
    const named: readonly Environment[] = values.environment === undefined ? ENVIRONMENTS : [readEnvironment(values.environment)];
    return { environments: named, email: values.as };
  });
  const logger = createLogger(configuration.logLevel);
  await withAdminDatabase(configuration, output, async (prisma) => {
    const identity = await actingPerson(prisma, email);
    const signer = await presentSigner(prisma, configuration);
    await withBus(configuration, logger, async (bus) => {
      for (const environment of environments) {
        const count = await resignEnvironment(prisma, signer, identity, environment);
        if (count > 0) await bus.publish(FLAGS_CHANGED, environment).catch((error: unknown) => logger.warn({ err: error }, 'A change was not announced'));
        const revision = (await currentPositions(prisma)).get(environment)?.revision ?? 0;
        output.out(`${environment}: ${count} signed with ${signer.kid}; vehicles hold nothing older from revision ${revision} on`);
      }
    });
  });
  return 0;
};
