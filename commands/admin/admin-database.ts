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
import type { Configuration } from '../../main/configuration.ts';
import type { Output } from './command.ts';

/**
 * Calls `use` with the database, and closes everything afterwards.
 *
 * @throws Error when migrations are pending: the command may run beside an older control plane, so it must not apply
 * them
 */
export async function withAdminDatabase<T>(
  configuration: Configuration,
  output: Output,
  use: (prisma: PrismaClient) => Promise<T>,
): Promise<T> {
  return withAdminUrl(configuration, output, async (url) => {
    const { pending } = await migrationStatus({ url });
    if (pending.length > 0)
      throw new Error(
        `The database is not up to date (${pending.length} migrations are pending). Run: npm run migrate -- deploy`,
      );
    const database = await openDatabase({
      url,
      maxConnections: 2,
      onConnectionError: ({ message }) => output.err(`PostgreSQL: ${message}`),
    });
    try {
      return await use(database.prisma);
    } finally {
      await database.close();
    }
  });
}

/** Calls `use` with the URL of the database, whatever its schema, and stops afterwards what was started for it. */
export async function withAdminUrl<T>(
  { databaseUrl, dataDir }: Pick<Configuration, 'databaseUrl' | 'dataDir'>,
  { err }: Output,
  use: (url: string) => Promise<T>,
): Promise<T> {
  const running = databaseUrl ?? (await findEmbeddedPostgres(dataDir));
  if (running !== null) return use(running);
  if (!hasEmbeddedPostgres(dataDir))
    throw new Error(
      `${dataDir} holds no data of FleetFlag, and DATABASE_URL is not set. Nothing was created: run this command with the settings of the control plane (FLEETFLAG_DATA_DIR or DATABASE_URL), or start the control plane first.`,
    );
  const server = await startEmbeddedPostgres({ dataDir, log: err });
  try {
    return await use(server.url);
  } finally {
    await server.stop();
  }
}

/** Calls `use` with a client of one connection to the database, and closes it afterwards. */
export async function withOneConnection<T>(url: string, use: (prisma: PrismaClient) => Promise<T>): Promise<T> {
  const database = await openDatabase({ url, maxConnections: 1 });
  try {
    return await use(database.prisma);
  } finally {
    await database.close();
  }
}
