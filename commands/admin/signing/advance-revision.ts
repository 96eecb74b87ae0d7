/** `npm run admin -- advance-revision`: the step after restoring a backup (docs/operations/restoring.md). */
import { parseArgs } from 'node:util';
import { FLAGS_CHANGED } from '../../../subgraphs/flags/changes/announcement.ts';
import { advanceRevision } from '../../../subgraphs/flags/signing/advance-revision.ts';
import { createLogger } from '../../../main/process/log.ts';
import { presentSigner } from '../../../main/secrets/trusted-signer.ts';
import { actingPerson } from '../acting-person.ts';
import { withAdminDatabase } from '../admin-database.ts';
import { withBus } from '../announcing.ts';
import { readArguments, type AdminCommand } from '../command.ts';
import { readEnvironmentOption } from '../environment-option.ts';

/** The help text of `advance-revision`. */
export const ADVANCE_USAGE = `npm run admin -- advance-revision --environment development|staging|production --beyond N --reason TEXT [--as EMAIL]
    After a backup was restored: raises the environment's revision above N, above what vehicles have reported and above its
    own, and signs every flag in it again, so that vehicles accept the control plane again. First pull the kill switches again
    that were pulled after the backup: vehicles get the flags as they are.`;

/** Runs `advance-revision`. Exit codes: 0 done, 1 failed, 2 wrong usage. */
export const advanceRevisionCommand: AdminCommand = async (args, configuration, output) => {
  const { environment, beyond, reason, email } = readArguments(ADVANCE_USAGE, () => {
    const { values } = parseArgs({
      args: [...args],
      options: {
        environment: { type: 'string' },
        beyond: { type: 'string' },
        reason: { type: 'string' },
        as: { type: 'string' },
      },
    });
    if (values.beyond === undefined || !/^\d{1,10}$/.test(values.beyond))
      throw new Error('--beyond must be a revision: a whole number, 0 or more.');
    if (values.reason === undefined || values.reason.trim() === '')
      throw new Error('--reason must be a text for the audit log.');
    return {
      environment: readEnvironmentOption(values.environment),
      beyond: Number(values.beyond),
      reason: values.reason,
      email: values.as,
    };
  });
  const logger = createLogger(configuration.logLevel);
  const advanced = await withAdminDatabase(configuration, output, async (prisma) => {
    const identity = await actingPerson(prisma, email);
    const signer = await presentSigner(prisma, configuration);
    const result = await advanceRevision(prisma, signer, identity, { environment, beyond, reason });
    await withBus(configuration, logger, (bus) =>
      bus
        .publish(FLAGS_CHANGED, environment)
        .catch((error: unknown) =>
          logger.warn(
            { err: error, environment },
            'Cannot announce a change; other processes find it by polling, about a second later',
          ),
        ),
    );
    return result;
  });
  const { from, to, reported, unbelieved, flags, serving } = advanced;
  if (reported > Math.max(beyond, from))
    output.err(
      `Vehicles of ${environment} have reported revision ${reported}: its revision was raised above that, not only above ${beyond}.`,
    );
  else if (from > beyond)
    output.err(
      `${environment} was at revision ${from} already: its revision was raised above that, not only above ${beyond}.`,
    );
  if (unbelieved > 0)
    output.err(
      `${unbelieved} vehicles report a revision that no environment can have, or one far above this one's and above --beyond, and were ignored: check them (vehicles, appliedRevision).`,
    );
  if (serving.length > 0) {
    output.err(
      `${serving.length} of the ${flags} flags are enabled and not killed, and vehicles serve them now: ${serving.join(', ')}. A kill switch that was pulled after the backup is lost: if one of these flags should be killed, pull its kill switch now.`,
    );
  }
  output.out(`${environment}: from revision ${from} to ${to}; ${flags} flags signed again.`);
  return 0;
};
