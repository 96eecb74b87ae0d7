/** Real agents of a run: processes with a store on disk and a clock that can be set. */
import { execFileSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { NO_FAKETIME, faketimeVariables } from '../../agent/testing/clocked-agent.ts';
import type { AgentStatus } from '../../agent/api/agent-status.ts';
import { ProjectProcess } from '../harness/process.ts';
import type { Recorder } from './recorder.ts';

/** The kilobytes of an agent's disk. */
const DISK_KB = 2_048;

/** Whether this process may mount a file system. */
const MAY_MOUNT = process.getuid?.() === 0;

export class RealAgent {
  process!: ProjectProcess;
  #address: string | null = null;
  #isOver = false;
  #watch: Promise<void> = Promise.resolve();
  #revision = -1;
  #hasDisk = false;

  constructor(
    readonly vin: string,
    private readonly folder: string,
    private readonly url: string,
    private readonly recorder: Recorder,
    private readonly root: string | undefined,
  ) {}

  /** Prepares the folder, on a small disk of its own where that can be mounted, and starts the process. */
  async begin(token: string, keys: unknown): Promise<void> {
    await mkdir(this.#disk, { recursive: true });
    if (MAY_MOUNT) {
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_KB}k`, 'tmpfs', this.#disk], { stdio: 'ignore' });
        this.#hasDisk = true;
      } catch {
        // A container may forbid it.
      }
    }
    await writeFile(join(this.folder, 'token'), token, { mode: 0o600 });
    await writeFile(join(this.folder, 'keys.json'), JSON.stringify(keys));
    this.setClock('+0s');
    await this.start();
    this.#watch = this.#look();
  }

  get #disk(): string {
    return join(this.folder, 'disk');
  }

  get hasDisk(): boolean {
    return this.#hasDisk;
  }

  async start(): Promise<void> {
    this.#address = null;
    this.process = new ProjectProcess(
      [
        'agent',
        ...['--url', this.url, '--token-file', join(this.folder, 'token'), '--keys', join(this.folder, 'keys.json')],
        ...['--db', join(this.#disk, 'agent.db'), '--listen', '127.0.0.1:0'],
      ],
      NO_FAKETIME === null
        ? {
            ...faketimeVariables(),
            FAKETIME_TIMESTAMP_FILE: join(this.folder, 'clock'),
            FAKETIME_NO_CACHE: '1',
            FAKETIME_DONT_FAKE_MONOTONIC: '1',
          }
        : {},
      this.root,
    );
    const [, address] = await this.process.printed(/listening on (http:\/\/127\.0\.0\.1:\d+)/, 'stderr');
    this.#address = address ?? null;
    this.#revision = -1;
  }

  /**
   * Sets the clock that the agent sees.
   *
   * @param clock an offset from the true time, such as `+172800s`
   */
  setClock(clock: string): void {
    void writeFile(join(this.folder, 'clock'), clock);
  }

  /** Fills the disk up. Gives the function that frees it. */
  async fillDisk(): Promise<() => Promise<void>> {
    const file = join(this.#disk, 'filler');
    await writeFile(file, Buffer.alloc(DISK_KB * 1_024)).catch(() => undefined);
    return () => rm(file, { force: true });
  }

  /** Gives the status; null where the process does not answer within a second. */
  async status(): Promise<AgentStatus | null> {
    if (this.#address === null) return null;
    try {
      const response = await fetch(`${this.#address}/v1/status`, { signal: AbortSignal.timeout(1_000) });
      return (await response.json()) as AgentStatus;
    } catch {
      return null;
    }
  }

  /** Notes the revision on disk whenever it changes. */
  async #look(): Promise<void> {
    while (!this.#isOver) {
      const process_ = this.process;
      const status = await this.status();
      // What a process said that has been killed meanwhile was said before.
      if (status !== null && process_ === this.process && status.revision !== this.#revision) {
        const { vin } = this;
        if (this.#revision === -1) this.recorder.note({ kind: 'start', vin, revision: status.revision });
        this.#revision = status.revision;
        this.recorder.note({ kind: 'state', vin, revision: status.revision, complete: false, flags: [], gone: [] });
      }
      await pause(200);
    }
  }

  /** Notes what programs in the vehicle get of each flag now. */
  async noteFlags(keys: readonly string[]): Promise<void> {
    const status = await this.status();
    const flags = await Promise.all(
      keys.map(async (key) => {
        const response = await fetch(`${this.#address}/ofrep/v1/evaluate/flags/${key}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{"context": {}}',
        });
        const { metadata } = (await response.json()) as { metadata?: { revision?: number } };
        const revision = metadata?.revision ?? 0;
        return [key, revision, revision, false] as const;
      }),
    );
    const complete = status?.proof?.held === true;
    this.recorder.note({ kind: 'state', vin: this.vin, revision: status?.revision ?? 0, complete, flags, gone: [] });
    for (const reason of Object.keys(status?.refusals ?? {}))
      this.recorder.note({ kind: 'refusal', vin: this.vin, reason });
  }

  async remove(): Promise<void> {
    this.#isOver = true;
    await this.#watch;
    this.process.child.kill('SIGCONT');
    await this.process.stop('SIGKILL').catch(() => undefined);
    if (this.#hasDisk) execFileSync('umount', [this.#disk], { stdio: 'ignore' });
  }
}
