/** The administrative command as an operator runs it: a process of its own beside the deployment. */
import type { Deployment } from './deployment.ts';
import { ProjectProcess } from './process.ts';

/** Runs `npm run admin -- …args` with the deployment's settings, to its end. */
export async function admin(
  deployment: Deployment,
  ...args: string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const command = new ProjectProcess(['admin', ...args], deployment.environment);
  const code = await command.ended();
  return { code, stdout: command.stdout, stderr: command.stderr };
}
