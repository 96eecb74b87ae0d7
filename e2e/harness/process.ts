/**
 * Runs real processes of this project. They start with a clean environment, tests wait for their output, and none is
 * left running.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { eventually as waitFor } from '../../core/testing/eventually.ts';

/** The folder of the project. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/**
 * The default timeout: longer than the start of a deployment or an agent on a busy machine, and shorter than the
 * timeouts of the hooks that wait for one. Only a failing test waits this long.
 */
const TIMEOUT_MS = 60_000;

/** The files that `npm run build` makes, by command. */
const BUILT: Readonly<Record<string, string>> = {
  start: 'dist/start.js',
  service: 'dist/service.js',
  admin: 'dist/admin.js',
  agent: 'dist/fleetflag-agent.cjs',
};

/**
 * The folder with the files of an image, whose commands are run in place of those in `dist/` (docker/test-image.sh).
 */
const IMAGE = process.env['FLEETFLAG_E2E_IMAGE'];

interface Program {
  readonly file: string;
  readonly args: readonly string[];
}

/** The program and the arguments that run a command. Each ends as the process that was started, so signals reach it. */
function programOf(command: string, args: readonly string[]): Program {
  const built = BUILT[command];
  if (built === undefined) return { file: process.execPath, args: ['--import', 'tsx', command, ...args] };
  if (IMAGE === undefined) return { file: process.execPath, args: [built, ...args] };
  const role = command === 'service' ? args : [command, ...args];
  const entry = 'cd /app && exec /bin/sh docker/entrypoint.sh "$@"';
  return { file: 'chroot', args: [IMAGE, '/bin/sh', '-c', entry, 'sh', ...role] };
}

/** A process of this project; see the top of this file. */
export class ProjectProcess {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly #ended: Promise<unknown>;

  /**
   * @param args a built command (`start`, `service`, `admin`, `agent`) or a source's path, then its arguments
   * @param root the folder of the sources that are run
   */
  constructor(
    readonly args: readonly string[],
    environment: Readonly<Record<string, string>>,
    root = ROOT,
  ) {
    const { PATH = '', HOME = '' } = process.env;
    const [command = '', ...rest] = args;
    const program = programOf(command, rest);
    this.child = spawn(program.file, program.args, {
      cwd: root,
      env: { PATH, HOME, LOG_LEVEL: 'warn', ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.child.emit('printed');
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.child.emit('printed');
    });
    this.#ended = once(this.child, 'close');
    this.child.on('close', () => this.child.emit('printed'));
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /**
   * Waits for the first match of `pattern` in the output, for `timeoutMs` milliseconds at most. Rejects when the
   * process ends before that.
   */
  async printed(
    pattern: RegExp,
    stream: 'stdout' | 'stderr' = 'stdout',
    timeoutMs = TIMEOUT_MS,
  ): Promise<RegExpExecArray> {
    const deadline = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const match = pattern.exec(this[stream]);
      if (match !== null) return match;
      if (!this.running)
        throw new Error(
          `${this.args.join(' ')} ended (${this.child.exitCode ?? this.child.signalCode}) before it printed ${pattern}\n${this.stdout}\n${this.stderr}`,
        );
      await once(this.child, 'printed', { signal: deadline }).catch(() => {
        throw new Error(`${this.args.join(' ')} has not printed ${pattern}\n${this.stdout}\n${this.stderr}`);
      });
    }
  }

  /**
   * Sends a signal and waits for the end; gives the exit code (null when the signal ended it). Rejects as `ended` does.
   */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.running) this.child.kill(signal);
    return this.ended();
  }

  /**
   * Waits for the end; gives the exit code. Rejects when Node has warned of something: ordinary use has no warnings.
   */
  async ended(): Promise<number | null> {
    await this.#ended;
    const warning = /^\(node:\d+\) .*$/m.exec(this.stderr)?.[0];
    if (warning !== undefined) throw new Error(`${this.args.join(' ')} printed a warning of Node: ${warning}`);
    return this.child.exitCode;
  }
}

/** `eventually` of core/testing, with the longer timeout that whole processes on a busy machine need. */
export const eventually: typeof waitFor = (check, what, timeoutMs = TIMEOUT_MS) => waitFor(check, what, timeoutMs);
