/**
 * A process for tests to kill. It starts the embedded PostgreSQL on the given folder, prints its URL, then writes rows
 * and prints each one's number once it is acknowledged. Stops in order at SIGTERM.
 */
import { Client } from 'pg';
import { startEmbeddedPostgres } from '../postgres/embedded/embedded-postgres.ts';

const tell = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);

try {
  const server = await startEmbeddedPostgres({ dataDir: process.argv[2]!, log: (line) => tell({ log: line }) });
  let stopped = false;
  process.on('SIGTERM', () => (stopped = true));
  tell({ url: server.url });
  const client = new Client({ connectionString: server.url });
  await client.connect();
  await client.query('CREATE TABLE IF NOT EXISTS numbers (n INTEGER)');
  for (let n = 1; !stopped; n++) {
    await client.query('INSERT INTO numbers VALUES ($1)', [n]);
    tell({ acknowledged: n });
  }
  await client.end();
  await server.stop();
} catch (error) {
  tell({ error: (error as Error).message });
  process.exitCode = 1;
}
