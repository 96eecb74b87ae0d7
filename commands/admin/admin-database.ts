/**
 * The database for a short-lived command: that of DATABASE_URL, or the embedded server, whether or not FleetFlag is
 * using it.
 */
import type { PrismaClient } from '../../prisma/generated/client.ts';
import { openDatabase } from '../../subgraphs/shared/postgres/database.ts';
import {
  findEmbeddedPostgres,
  hasEmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { migrationStatus } from '../../subgraphs/shared/postgres/schema/migrations.ts';
import { openAll } from '../../main/lifecycle.ts';
import type { Configuration } from '../../main/configuration.ts';
import type { Output } from './command.ts';

/**
 * Calls `use` with the database, and closes everything afterwards.
 *
 * @throws Error when migrations are pending: the command may run beside an older control plane, so it must not apply
 * them
 */
export async function withAdminDatabase<T>(
  { databaseUrl, dataDir }: Configuration,
  { err }: Output,
  use: (prisma: PrismaClient) => Promise<T>,
): Promise<T> {
  return openAll(async (lifecycle) => {
    let url = databaseUrl ?? (await findEmbeddedPostgres(dataDir));
    if (url === null) {
      if (!hasEmbeddedPostgres(dataDir))
        throw new Error(
          `${dataDir} holds no data of FleetFlag, and DATABASE_URL is not set. Nothing was created: run this command with the settings of the control plane (FLEETFLAG_DATA_DIR or DATABASE_URL), or start the control plane first.`,
        );
      const server = await startEmbeddedPostgres({ dataDir, log: err });
      lifecycle.onClose(() => server.stop());
      url = server.url;
    }
    const { pending } = await migrationStatus({ url });
    if (pending.length > 0)
      throw new Error(
        `The database is not up to date (${pending.length} migrations are pending). Run: npm run migrate -- deploy`,
      );
    const database = await openDatabase({
      url,
      maxConnections: 2,
      onConnectionError: ({ message }) => err(`PostgreSQL: ${message}`),
    });
    lifecycle.onClose(() => database.close());
    const result = await use(database.prisma);
    await lifecycle.close();
    return result;
  });
}
