/**
 * Runs the command as a process whose clock a test sets. Debian's faketime is loaded before the system's library and
 * can change the time of the process at any moment. The monotonic clock (CLOCK_MONOTONIC) is not changed.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentStatus } from '../api/agent-status.ts';
import { bundleCommand } from '../packing/bundle.ts';
import type { TestVehicle } from './test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';

/** The reason why the clock of a process cannot be set here; null where it can. */
export const NO_FAKETIME =
  spawnSync('faketime', ['--version']).status === 0 ? null : "Debian's package faketime is not installed";

/** The bundled command, and its processes whose clocks tests set. */
export class ClockedCommand {
  readonly #folder = mkdtempSync(join(tmpdir(), 'fleetflag-clocked-'));
  readonly #agents = new Set<ClockedAgent>();

  async build(): Promise<this> {
    await bundleCommand(this.#folder);
    return this;
  }

  /** Starts the vehicle's agent with a clock (`ClockedAgent.set`). */
  start(vehicle: TestVehicle, clock: string, options: readonly string[]): ClockedAgent {
    const agent = new ClockedAgent(join(this.#folder, 'fleetflag-agent.cjs'), vehicle, clock, options);
    this.#agents.add(agent);
    return agent;
  }

  async dispose(): Promise<void> {
    await Promise.all(Array.from(this.#agents, (agent) => agent.stop('SIGKILL')));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A process of the command, whose clock a test sets. */
export class ClockedAgent {
  readonly #child: ChildProcess;
  readonly #clockFile: string;
  #log = '';

  constructor(command: string, vehicle: TestVehicle, clock: string, options: readonly string[]) {
    this.#clockFile = join(vehicle.folder, 'clock');
    this.set(clock);
    const args = [
      command,
      '--token-file',
      vehicle.tokenFile,
      '--db',
      vehicle.databaseFile,
      '--keys',
      vehicle.keysFile,
      '--listen',
      '127.0.0.1:0',
      ...options,
    ];
    const env = {
      ...faketimeVariables(),
      FAKETIME_TIMESTAMP_FILE: this.#clockFile,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'], env });
    this.#child.stderr!.on('data', (data: Buffer) => (this.#log += data.toString()));
  }

  /** Sets the clock: an offset from the true time (`+172800s`), or a start (`@2020-01-01 00:00:00`). */
  set(clock: string): void {
    writeFileSync(this.#clockFile, clock);
  }

  get log(): string {
    return this.#log;
  }

  async status(): Promise<AgentStatus> {
    return (await (await fetch(`${await this.#address()}/v1/status`)).json()) as AgentStatus;
  }

  async evaluate(key: string): Promise<{ value: unknown; reason: string }> {
    const response = await fetch(`${await this.#address()}/ofrep/v1/evaluate/flags/${key}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"context": {}}',
    });
    return (await response.json()) as { value: unknown; reason: string };
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill(signal);
    await exited;
  }

  async #address(): Promise<string> {
    await eventually(() => {
      if (this.#child.exitCode !== null) throw new Error(`The agent has ended: ${this.#log}`);
      return this.#log.includes('listening on ');
    }, 'it listens');
    return /listening on (http:\S+)/.exec(this.#log)![1]!;
  }
}

let preloaded: { LD_PRELOAD: string } | null = null;

/** Gives the environment variables by which a process loads faketime. */
export function faketimeVariables(): { LD_PRELOAD: string } {
  preloaded ??= {
    LD_PRELOAD: /^LD_PRELOAD=(.*)$/m.exec(execFileSync('faketime', ['-f', '+0s', 'env'], { encoding: 'utf8' }))![1]!,
  };
  return preloaded;
}
