/** The lean vehicles of a run, in a process of their own. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { FleetCommand, FleetMessage } from './fleet-messages.ts';
import { ROOT } from '../harness/process.ts';
import type { Recorder } from './recorder.ts';

/** The state of the vehicles at one moment. */
export interface Standing {
  /** A sentence for each vehicle that is not in step. */
  readonly behind: readonly string[];
  readonly connected: readonly string[];
}

export class LeanFleet {
  #answer: (standing: Standing) => void = () => undefined;

  private constructor(
    private readonly child: ChildProcess,
    readonly vins: readonly string[],
    recorder: Recorder,
  ) {
    child.on('message', (message: FleetMessage) => {
      if ('entries' in message) for (const entry of message.entries) recorder.add(entry);
      else if ('behind' in message) this.#answer(message);
    });
  }

  /**
   * Starts the vehicles. They may not have synced yet.
   *
   * @param root the folder of the sources that the vehicles run
   */
  static async start(
    begin: Extract<FleetCommand, { begin: object }>['begin'],
    recorder: Recorder,
    root = ROOT,
  ): Promise<LeanFleet> {
    const child = fork('e2e/faults/fleet-process.ts', [], { cwd: root, execArgv: ['--import', 'tsx'] });
    await once(child, 'message');
    const fleet = new LeanFleet(
      child,
      begin.vehicles.map(({ vin }) => vin),
      recorder,
    );
    fleet.#say({ begin });
    return fleet;
  }

  #say(command: FleetCommand): void {
    this.child.send(command);
  }

  setClocks(vins: readonly string[], offsetMs: number): void {
    this.#say({ clocks: { vins, offsetMs } });
  }

  /** Lets vehicles lose their connections. */
  reconnect(vins: readonly string[]): void {
    this.#say({ reconnect: vins });
  }

  /** Starts no new measurements. */
  quiet(): void {
    this.#say({ quiet: true });
  }

  standing(revision: number): Promise<Standing> {
    return new Promise((resolve) => {
      this.#answer = resolve;
      this.#say({ behind: revision });
    });
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.disconnect();
    await ended;
  }
}
