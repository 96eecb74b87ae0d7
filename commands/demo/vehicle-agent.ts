/** The agent of one vehicle as its own process, asked over its local HTTP API. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Child } from './child-process.ts';
import type { FleetVehicle } from './fleet.ts';
import { membersOf } from '../../core/json/json-value.ts';

/** Milliseconds that a change or a connection may take; many times what it does. */
const PATIENCE = 30_000;

/** The part of the agent's `GET /v1/status` that is shown. */
export interface AgentStatus {
  readonly revision: number;
  readonly connected: boolean;
  readonly flags: number;
  readonly cacheBytes: number;
}

/** What the agent says of a sync in its log. */
export interface Sync {
  /** The revision it had. */
  readonly since: number;
  /** Flags that it received. */
  readonly changed: number;
}

export interface VehicleAgentOptions {
  readonly vehicle: FleetVehicle;
  /** For its token and its database. */
  readonly folder: string;
  /** JWK set that it trusts. */
  readonly keysFile: string;
  readonly wsUrl: string;
  readonly spawn: (args: readonly string[]) => Child;
}

export class VehicleAgent {
  readonly vehicle: FleetVehicle;
  #process: Child | undefined;
  #url = '';

  constructor(private readonly options: VehicleAgentOptions) {
    this.vehicle = options.vehicle;
  }

  /** As people call it: the model. */
  get name(): string {
    return this.vehicle.model;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** The local address that programs in the vehicle ask. */
  get url(): string {
    return this.#url;
  }

  /** Stores the token that the control plane has issued. */
  async install(token: string): Promise<void> {
    await writeFile(this.#tokenFile, token, { mode: 0o600 });
  }

  get #tokenFile(): string {
    return join(this.options.folder, `${this.vehicle.vin}.token`);
  }

  /** Starts the process; resolves when it answers programs, whether or not there is a network. */
  async start(): Promise<void> {
    const { vin, model, swVersion, region } = this.vehicle;
    const { wsUrl, keysFile, folder, spawn } = this.options;
    this.#process = spawn([
      'agent/command/main.ts',
      '--url',
      wsUrl,
      '--token-file',
      this.#tokenFile,
      '--keys',
      keysFile,
      '--db',
      join(folder, `${vin}.db`),
      '--listen',
      '127.0.0.1:0',
      '--model',
      model,
      '--sw-version',
      swVersion,
      '--region',
      region,
    ]);
    const [, address = ''] = await this.#process.printed(/listening on (http:\/\/\S+)/, 'stderr');
    this.#url = address;
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
  }

  async status(): Promise<AgentStatus> {
    const response = await fetch(`${this.#url}/v1/status`);
    // eslint-disable-next-line @typescript-eslint/consistent-type-assertions -- this is the agent of the same version
    return (await response.json()) as AgentStatus;
  }

  /** Waits for a state. Throws Error when it does not come in half a minute. */
  async until(wanted: (status: AgentStatus) => boolean, what: string): Promise<AgentStatus> {
    const deadline = performance.now() + PATIENCE;
    for (;;) {
      const status = await this.status();
      if (wanted(status)) return status;
      if (performance.now() > deadline)
        throw new Error(`The ${this.name} is not ${what} after ${PATIENCE / 1000} s (revision ${status.revision}).`);
      await delay(10);
    }
  }

  /**
   * A flag's value for this vehicle, over OFREP as a program in the vehicle asks. Throws where there is no such flag.
   */
  async evaluate(key: string): Promise<{ readonly value: unknown; readonly reason: string }> {
    const response = await fetch(`${this.#url}/ofrep/v1/evaluate/flags/${encodeURIComponent(key)}`, {
      method: 'POST',
      body: '{}',
    });
    const { value, reason, errorCode } = membersOf(await response.json());
    if (!response.ok)
      throw new Error(
        `The ${this.name} cannot evaluate ${key}: ${typeof errorCode === 'string' ? errorCode : response.status}`,
      );
    return { value, reason: String(reason) };
  }

  /**
   * Asks again and again until `key` has another value than `before`, and gives it with the time
   * (performance.now()) at which it was seen. Throws Error when it does not change in half a minute.
   */
  async valueAfter(key: string, before: unknown): Promise<{ value: unknown; reason: string; at: number }> {
    const deadline = performance.now() + PATIENCE;
    for (;;) {
      const { value, reason } = await this.evaluate(key);
      const at = performance.now();
      if (JSON.stringify(value) !== JSON.stringify(before)) return { value, reason, at };
      if (at > deadline)
        throw new Error(`${key} is still ${JSON.stringify(before)} in the ${this.name} after ${PATIENCE / 1000} s.`);
    }
  }

  /** The syncs that it has made since its start, oldest first. */
  syncs(): Sync[] {
    const lines = (this.#process?.stderr ?? '').matchAll(/synced to revision \d+ since=(\d+) changed=(\d+)/g);
    return [...lines].map(([, since, changed]) => ({ since: Number(since), changed: Number(changed) }));
  }
}
