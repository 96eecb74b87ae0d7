import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../../../prisma/generated/client.ts';
import { TRANSACTION_OPTIONS } from '../postgres/database.ts';
import { openProxy, type SeverableProxy } from './severable-proxy.ts';

/** A client whose statements tests see. */
export interface WatchedDatabase {
  readonly prisma: PrismaClient;
  /** The statements sent to the server, in order, with `$1` for parameters. */
  readonly statements: { readonly query: string; readonly params: unknown[] }[];
  /** The relay between the client and the server. */
  readonly proxy: SeverableProxy;
  close(): Promise<void>;
}

/** Opens a relay in front of the database at `url`, and gives the URL that leads through it. */
export async function proxyDatabase(url: string): Promise<{ readonly url: string; readonly proxy: SeverableProxy }> {
  const address = new URL(url);
  const folder = address.searchParams.get('host');
  const proxy = await openProxy(
    folder === null
      ? { host: address.hostname, port: Number(address.port || 5432) }
      : { path: `${folder}/.s.PGSQL.${address.port || 5432}` },
  );
  address.searchParams.delete('host');
  address.host = `127.0.0.1:${proxy.port}`;
  return { url: address.href, proxy };
}

/** Creates a further client of the test database at `url` whose statements are recorded and which can be cut off. */
export async function watchDatabase(url: string): Promise<WatchedDatabase> {
  const { url: through, proxy } = await proxyDatabase(url);
  const ignore = () => undefined;
  const adapter = new PrismaPg(
    { connectionString: through, max: 5, connectionTimeoutMillis: 5_000 },
    { onPoolError: ignore, onConnectionError: ignore },
  );
  const prisma = new PrismaClient({
    adapter,
    errorFormat: 'minimal',
    // Prisma's own, of five seconds, are too short for large statements on a busy machine.
    transactionOptions: TRANSACTION_OPTIONS,
    log: [{ emit: 'event', level: 'query' }],
  });
  const statements: { query: string; params: unknown[] }[] = [];
  prisma.$on('query', ({ query, params }) => statements.push({ query, params: JSON.parse(params) as unknown[] }));
  return {
    prisma,
    statements,
    proxy,
    async close() {
      await prisma.$disconnect();
      await proxy.close();
    },
  };
}
