/** One vehicle agent as its own process, with its token and its store in a temporary folder. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { madeOrRemoved } from '../../core/testing/made-or-removed.ts';
import type { AgentStatus } from '../../agent/api/agent-status.ts';
import { eventually, ProjectProcess } from './process.ts';

/** A vehicle; see the top of this file. */
export class VehicleProcess {
  #process: ProjectProcess | undefined;
  /** The address of the agent's local API. */
  #local = '';

  private constructor(
    readonly folder: string,
    readonly wsUrl: string,
    /** Further arguments of the command line. */
    public options: readonly string[],
  ) {}

  /** Starts the agent, which may not have synced yet. */
  static async start(wsUrl: string, token: string, options: readonly string[] = []): Promise<VehicleProcess> {
    const vehicle = new VehicleProcess(await mkdtemp(join(tmpdir(), 'fleetflag-vehicle-')), wsUrl, options);
    return madeOrRemoved(
      async () => {
        await writeFile(join(vehicle.folder, 'token'), token, { mode: 0o600 });
        await vehicle.up();
        return vehicle;
      },
      () => vehicle.remove(),
    );
  }

  /** The process of the last start. */
  get process(): ProjectProcess {
    if (this.#process === undefined) throw new Error('The vehicle has not been started.');
    return this.#process;
  }

  get dbPath(): string {
    return join(this.folder, 'agent.db');
  }

  /** Starts the agent again on its files, connected to `url`. */
  async up(url = this.wsUrl): Promise<void> {
    this.#process = new ProjectProcess(
      [
        'agent',
        '--url',
        url,
        '--token-file',
        join(this.folder, 'token'),
        '--db',
        this.dbPath,
        '--listen',
        '127.0.0.1:0',
        '--model',
        'Ioniq 6',
        '--sw-version',
        '2.5.0',
        '--region',
        'EU',
        ...this.options,
      ],
      {},
    );
    const [, address] = await this.#process.printed(/listening on (http:\/\/127\.0\.0\.1:\d+)/, 'stderr');
    this.#local = address ?? '';
  }

  /** Reads the status from the agent's local API. */
  async status(): Promise<AgentStatus> {
    return (await (await fetch(`${this.#local}/v1/status`)).json()) as AgentStatus;
  }

  /** Evaluates a flag over OFREP, as a program in the vehicle does. */
  async evaluate(key: string): Promise<{ value?: unknown; reason?: string; variant?: string; errorCode?: string }> {
    const response = await fetch(`${this.#local}/ofrep/v1/evaluate/flags/${encodeURIComponent(key)}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ context: {} }),
    });
    return (await response.json()) as { value?: unknown };
  }

  /** Waits until the vehicle has a revision of its environment. */
  async reaches(revision: number): Promise<void> {
    await eventually(async () => (await this.status()).revision === revision, `the vehicle at revision ${revision}`);
  }

  /** Waits until the vehicle serves a value of a flag. */
  async serves(key: string, value: unknown): Promise<void> {
    await eventually(
      async () => (await this.evaluate(key)).value === value,
      `${key} is ${String(value)} in the vehicle`,
    );
  }

  /** Evaluates all flags in one request. Gives the values by key. */
  async values(): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.#local}/ofrep/v1/evaluate/flags`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ context: {} }),
    });
    const { flags } = (await response.json()) as { flags: { key: string; value: unknown }[] };
    return Object.fromEntries(flags.map(({ key, value }) => [key, value]));
  }

  /** Sends a measurement to the agent, as a program in the vehicle does. Gives the HTTP status. */
  async track(measurement: {
    readonly metric: string;
    readonly value: number;
    readonly flagKey: string;
  }): Promise<number> {
    const response = await fetch(`${this.#local}/v1/track`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(measurement),
    });
    await response.arrayBuffer();
    return response.status;
  }

  /** Reports a fault to the agent, as a program in the vehicle does. Gives the HTTP status. */
  async fault(flagKey: string, message: string): Promise<number> {
    const response = await fetch(`${this.#local}/v1/fault`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ flagKey, message }),
    });
    await response.arrayBuffer();
    return response.status;
  }

  /** Gives the content of the agent's database file. */
  databaseBytes(): Promise<Buffer> {
    return readFile(this.dbPath);
  }

  /** Gives the journal of the metrics queue; empty where the queue has not changed since the database was written. */
  journal(): Promise<string> {
    return readFile(`${this.dbPath}.queue`, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
  }

  async remove(): Promise<void> {
    try {
      await this.#process?.stop();
    } finally {
      await rm(this.folder, { recursive: true, force: true });
    }
  }
}
