/** An agent's command as a process of its own, which a benchmark starts on the files of a test vehicle. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { TestVehicle } from '../../agent/testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** An agent's process, and the address at which it listens. */
export interface AgentProcess {
  readonly child: ChildProcess;
  readonly base: string;
}

/** The command of an agent. */
export interface AgentCommand {
  /** The arguments of Node that run it. */
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** The agent's connection to the control plane: the address and the options. */
export interface AgentWay {
  readonly url: string;
  readonly options: readonly string[];
}

/** Starts the agent of a vehicle. Resolves when it listens and has flags. */
export async function startAgent(
  { command, environment }: AgentCommand,
  { plane, tokenFile, databaseFile, keysFile }: TestVehicle,
  { url, options: more }: AgentWay = { url: plane.url, options: [] },
): Promise<AgentProcess> {
  const options = ['--url', url, '--token-file', tokenFile, '--db', databaseFile, '--keys', keysFile];
  const child = spawn(process.execPath, [...command, ...more, ...options, '--listen', '127.0.0.1:0'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], ...environment },
  });
  let [output, log] = ['', ''];
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (log += data.toString()));
  await eventually(() => {
    if (child.exitCode !== null) throw new Error(log);
    return output.includes('\n') && log.includes('listening on ');
  }, 'the agent is ready');
  return { child, base: /listening on (http:\S+)/.exec(log)![1]! };
}

/** Ends a process, unless it has ended. */
export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
