/** A program of this project as a child process. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { SETTINGS } from '../../main/settings/known-settings.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Milliseconds without output after which a running program counts as failed: a first start creates a database, which
 * can take minutes on a slow disk.
 */
const SILENCE_TIMEOUT_MS = 180_000;
/** Milliseconds after which a process that was asked to stop is killed. */
const STOP_TIMEOUT_MS = 15_000;

/**
 * Gives the environment without FleetFlag's settings, so that the demo does not touch a real DATABASE_URL that is set
 * there.
 */
function inherited(): Record<string, string | undefined> {
  // Variables such as PATH and TMPDIR are no settings and are passed on.
  // oxlint-disable-next-line no-restricted-properties
  const entries = Object.entries(process.env).filter(
    ([name]) => !Object.hasOwn(SETTINGS, name) && !name.startsWith('FLEETFLAG_'),
  );
  return Object.fromEntries(entries);
}

/** A child process, its output and its end. */
export class Child {
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  #stdout = '';
  #stderr = '';

  /**
   * @param args the script and its arguments
   * @param settings environment variables
   */
  constructor(
    readonly args: readonly string[],
    settings: Readonly<Record<string, string>> = {},
  ) {
    this.#process = spawn(process.execPath, ['--import', 'tsx', ...args], {
      cwd: ROOT,
      env: { ...inherited(), ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
      // It gets a process group of its own: Ctrl-C reaches only the demo, which then ends its children in order.
      detached: true,
    });
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      this.#process.emit('printed');
    });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#process.emit('printed');
    });
    this.#ended = once(this.#process, 'close').catch(() => undefined);
    this.#process.on('error', () => this.#process.emit('printed'));
    this.#process.on('close', () => this.#process.emit('printed'));
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get running(): boolean {
    return this.#process.pid !== undefined && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Gives the program's own explanation if it printed one, without earlier warnings of libraries. */
  get #lastWords(): string {
    return (/(?:FleetFlag|The agent) cannot start[^]*/.exec(this.#stderr)?.[0] ?? this.#stderr).trim();
  }

  get stderr(): string {
    return this.#stderr;
  }

  /**
   * Resolves to the first match of `pattern` in its output on `stream`, past or future.
   *
   * @param silenceMs milliseconds without output that are tolerated; by default three minutes
   * @throws Error with its last words when it ends before, or is silent for so long
   */
  async printed(
    pattern: RegExp,
    stream: 'stdout' | 'stderr' = 'stdout',
    silenceMs = SILENCE_TIMEOUT_MS,
  ): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(stream === 'stdout' ? this.#stdout : this.#stderr);
      if (match !== null) return match;
      if (!this.running)
        throw new Error(
          this.#lastWords ||
            `${this.args[0]} ended (${this.#process.exitCode ?? this.#process.signalCode ?? 'not started'}).`,
        );
      await once(this.#process, 'printed', { signal: AbortSignal.timeout(silenceMs) }).catch(() => {
        throw new Error(
          `${this.args[0]} runs, and has said nothing for ${silenceMs / 1_000} seconds. Last: ${this.#lastWords || this.#stdout.trim() || 'nothing at all'}`,
        );
      });
    }
  }

  /** Asks the process to stop and waits until it has exited. */
  async stop(): Promise<void> {
    if (!this.running) return;
    this.#process.kill('SIGTERM');
    const late = setTimeout(() => this.#process.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(late);
  }
}
