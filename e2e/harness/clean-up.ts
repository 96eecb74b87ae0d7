import { rmSync } from 'node:fs';
import { deleteEmbeddedPostgres } from '../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';

declare global {
  /** The data folder that the global setup has made; its teardown runs in the same process. */
  var fleetFlagPreparedFolder: string | undefined;
}

/** Jest's global teardown of the project `e2e`: removes the data folder that the setup made. */
export default async function cleanUp(): Promise<void> {
  const folder = globalThis.fleetFlagPreparedFolder;
  if (folder === undefined) return;
  await deleteEmbeddedPostgres(folder);
  rmSync(folder, { recursive: true, force: true });
}
