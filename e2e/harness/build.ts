import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ROOT } from './process.ts';

/**
 * Jest's global setup of the project `e2e`: makes the commands that the tests run (`npm run build`), which are those of
 * the image and of the agent's package.
 */
export default async function buildOnce(): Promise<void> {
  await promisify(execFile)(process.execPath, ['--import', 'tsx', 'commands/build.ts'], { cwd: ROOT });
}
