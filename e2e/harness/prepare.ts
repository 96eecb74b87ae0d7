import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startEmbeddedPostgres } from '../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { deployMigrations } from '../../subgraphs/shared/postgres/schema/migrations.ts';
import cleanUp from './clean-up.ts';
import { DISTRIBUTED } from './deployment.ts';
import { ROOT } from './process.ts';

/**
 * Jest's global setup of the project `e2e`: builds the commands that the tests run (`npm run build`), which are those
 * of the image and of the agent's package, and makes a data folder that deployments copy. Jest has no teardown for a
 * setup that has failed, so this one removes what it has made.
 */
export default async function prepare(): Promise<void> {
  // Each is waited for: a server must not start after the other step has failed.
  const steps = await Promise.allSettled([build(), DISTRIBUTED ? null : prepareDataFolder()]);
  const faults = steps.flatMap((step) => (step.status === 'rejected' ? [step.reason as unknown] : []));
  if (faults.length === 0) return;
  await cleanUp();
  throw faults.length === 1 ? faults[0] : new AggregateError(faults, 'Neither the build nor the data folder was made');
}

async function build(): Promise<void> {
  await promisify(execFile)(process.execPath, ['--import', 'tsx', 'commands/build.ts'], { cwd: ROOT });
}

/**
 * Makes a data folder with a migrated and otherwise empty database, because creating and migrating one takes most of
 * the time of a first start. The demo's tests start without it.
 */
async function prepareDataFolder(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fleetflag-e2e-prepared-'));
  // A server that is started as root runs under another account, which must be able to enter the folder.
  chmodSync(folder, 0o711);
  globalThis.fleetFlagPreparedFolder = folder;
  const server = await startEmbeddedPostgres({ dataDir: folder, log: () => {} });
  try {
    await deployMigrations({ url: server.url });
  } finally {
    await server.stop();
  }
  rmSync(join(folder, 'postgresql/server.log'), { force: true });
  // Where that account cannot enter the folder, the database is elsewhere and cannot be copied.
  if (existsSync(join(folder, 'postgresql/cluster'))) process.env['FLEETFLAG_E2E_PREPARED'] = folder;
}
