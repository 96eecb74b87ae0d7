/** A program of this project as a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { SETTINGS } from '../../main/configuration.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Milliseconds of silence after which a program that still runs is given up: a first start makes a database, which a
 * slow disk may take minutes for.
 */
const SILENCE = 180_000;
/** Milliseconds that an orderly stop may take before the process is ended at once. */
const STOPPING = 15_000;

/**
 * The environment without FleetFlag's settings: whoever has DATABASE_URL set for something real must be able to
 * watch the demo without it touching that.
 */
function inherited(): Record<string, string | undefined> {
  // Not settings: PATH, TMPDIR and the like, to hand on.
  // eslint-disable-next-line no-restricted-properties
  const entries = Object.entries(process.env).filter(
    ([name]) => !Object.hasOwn(SETTINGS, name) && !name.startsWith('FLEETFLAG_'),
  );
  return Object.fromEntries(entries);
}

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
      // Out of the terminal's process group: Ctrl-C reaches the demo alone, which then ends its children in order.
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

  /** Its own explanation where it gave one, without what libraries warned of before. */
  get #lastWords(): string {
    return (/(?:FleetFlag|The agent) cannot start[^]*/.exec(this.#stderr)?.[0] ?? this.#stderr).trim();
  }

  get stderr(): string {
    return this.#stderr;
  }

  /**
   * The first match of `pattern` in what it prints on `stream`, now or later, for as long as it runs and is not silent.
   *
   * @param silence milliseconds; by default three minutes
   * @throws Error with what it said when it ends before, or is silent for so long
   */
  async printed(pattern: RegExp, stream: 'stdout' | 'stderr' = 'stdout', silence = SILENCE): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(stream === 'stdout' ? this.#stdout : this.#stderr);
      if (match !== null) return match;
      if (!this.running)
        throw new Error(
          this.#lastWords ||
            `${this.args[0]} ended (${this.#process.exitCode ?? this.#process.signalCode ?? 'not started'}).`,
        );
      await once(this.#process, 'printed', { signal: AbortSignal.timeout(silence) }).catch(() => {
        throw new Error(
          `${this.args[0]} runs, and has said nothing for ${silence / 1_000} seconds. Last: ${this.#lastWords || this.#stdout.trim() || 'nothing at all'}`,
        );
      });
    }
  }

  /** Asks it to stop and waits until it is gone. */
  async stop(): Promise<void> {
    if (!this.running) return;
    this.#process.kill('SIGTERM');
    const late = setTimeout(() => this.#process.kill('SIGKILL'), STOPPING);
    await this.#ended;
    clearTimeout(late);
  }
}
