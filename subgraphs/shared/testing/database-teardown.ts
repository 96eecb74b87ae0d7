import { rmSync } from 'node:fs';
import { Client } from 'pg';

/** Jest's global teardown of the project `database`: removes what the setup created. */
export default async function tearDownDatabase(): Promise<void> {
  const server = globalThis.fleetFlagTestServer;
  if (!server) return;
  if (server.folder === null) {
    const client = new Client({ connectionString: server.url });
    await client.connect();
    await client.query(`DROP DATABASE IF EXISTS ${server.template} WITH (FORCE)`);
    await client.end();
  }
  await server.stop();
  if (server.folder !== null) rmSync(server.folder, { recursive: true, force: true });
}
