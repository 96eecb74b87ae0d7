/**
 * Starts vehicle-process.ts, which is bundled once, and reads its output.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { madeOrRemoved } from '../../core/testing/made-or-removed.ts';
import { eventually } from '../../core/testing/eventually.ts';
import type { VehicleOptions } from './vehicle-process.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The bundle of the process, in a folder of its own that every user may read. */
export class VehicleProgram {
  private constructor(
    private readonly folder: string,
    readonly file: string,
  ) {}

  /** Bundles the program into a temporary folder, which `dispose` removes. */
  static async build(): Promise<VehicleProgram> {
    const folder = await mkdtemp(join(tmpdir(), 'fleetflag-vehicle-program-'));
    const program = new VehicleProgram(folder, join(folder, 'vehicle.cjs'));
    return madeOrRemoved(
      () => program.#bundle(),
      () => program.dispose(),
    );
  }

  async #bundle(): Promise<this> {
    // A test may start it as another user.
    await chmod(this.folder, 0o755);
    const require = createRequire(import.meta.url);
    const options = [
      '--bundle',
      '--platform=node',
      '--format=cjs',
      '--target=node20',
      '--log-level=error',
      `--outfile=${this.file}`,
    ];
    await promisify(execFile)(
      require.resolve('esbuild/bin/esbuild'),
      [join(ROOT, 'agent/testing/vehicle-process.ts'), ...options],
      { cwd: ROOT },
    );
    // sql.js loads this file from the folder of the bundle.
    await copyFile(require.resolve('sql.js/dist/sql-wasm.wasm'), join(this.folder, 'sql-wasm.wasm'));
    return this;
  }

  async dispose(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The timeout of `saying`. It is long, because Node starts several times, perhaps on a busy machine. */
const TIMEOUT_MS = 60_000;

/** The options of a process: by which command and under which user it runs. */
export interface StartOptions {
  /** A command that runs Node's command line, which is appended to it. */
  readonly wrapper?: readonly string[];
  readonly uid?: number;
  readonly gid?: number;
}

/** A process with one or more vehicles, which a test can kill. */
export class KillableProcess {
  readonly child: ChildProcess;
  #output = '';
  #log = '';

  constructor(
    program: VehicleProgram,
    vehicles: readonly VehicleOptions[],
    { wrapper = [], ...identity }: StartOptions = {},
  ) {
    const [command = '', ...given] = [...wrapper, process.execPath, program.file, JSON.stringify(vehicles)];
    this.child = spawn(command, given, { stdio: 'pipe', env: {}, ...identity });
    this.child.stdout!.on('data', (data: Buffer) => (this.#output += data.toString()));
    this.child.stderr!.on('data', (data: Buffer) => (this.#log += data.toString()));
    this.child.stdin!.on('error', (error) => (this.#log += error.message));
  }

  /** Lets the process begin. It may have been started earlier, so that the test does not wait for Node to start. */
  begin(): this {
    this.child.stdin!.write('\n');
    return this;
  }

  /**
   * Gives a vehicle's last line about `what`; null for none. A line that was cut off does not count.
   *
   * @param place the vehicle's index in the process
   */
  said(what: string, place = 0): string | null {
    const start = `${place} ${what} `;
    const lines = this.#output.slice(0, this.#output.lastIndexOf('\n') + 1).split('\n');
    return lines.findLast((line) => line.startsWith(start))?.slice(start.length) ?? null;
  }

  /** Resolves when a vehicle's line about `what` fits; rejects when the process ends first. */
  async saying(what: string, fits: (value: string) => boolean = () => true, place = 0): Promise<void> {
    await eventually(
      () => {
        if (this.ended) throw new Error(`The vehicle process has ended: ${this.#log}`);
        const value = this.said(what, place);
        return value !== null && fits(value);
      },
      `vehicle ${place} says ${what}`,
      TIMEOUT_MS,
    );
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Kills the process, and resolves when all its output is here. Rejects where it had ended by itself. */
  async kill(): Promise<void> {
    if (this.ended) throw new Error(`The vehicle process had ended before it was killed: ${this.#log}`);
    const closed = once(this.child, 'close');
    this.child.kill('SIGKILL');
    await closed;
  }
}
