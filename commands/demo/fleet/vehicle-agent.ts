/** The agent of one vehicle as a child process, used over its local HTTP API. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Child } from '../child-process.ts';
import type { FleetVehicle } from './fleet.ts';
import type { AgentStatus } from '../../../agent/api/agent-status.ts';
import { membersOf } from '../../../core/json/json-value.ts';

/** Milliseconds within which a change or a connection must succeed; many times the usual duration. */
const TIMEOUT_MS = 30_000;

/** A sync as the agent's log describes it. */
export interface Sync {
  /** The revision before the sync. */
  readonly since: number;
  /** The number of flags that it received. */
  readonly changed: number;
}

/** The settings of an agent. */
export interface VehicleAgentOptions {
  readonly vehicle: FleetVehicle;
  /** The folder of its token and its database. */
  readonly folder: string;
  /** The file with the JWK set that it trusts. */
  readonly keysFile: string;
  readonly wsUrl: string;
  readonly spawn: (args: readonly string[]) => Child;
}

/** Starts, stops and reads one agent. */
export class VehicleAgent {
  readonly vehicle: FleetVehicle;
  #process: Child | undefined;
  #url = '';

  constructor(private readonly options: VehicleAgentOptions) {
    this.vehicle = options.vehicle;
  }

  /** The vehicle's name: its model. */
  get name(): string {
    return this.vehicle.model;
  }

  /** The process id of the agent; 0 before its first start. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** The local URL that programs in the vehicle use. */
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

  /** Starts the process. Resolves when it answers programs, with or without a network. */
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

  /** Stops the process. */
  async stop(): Promise<void> {
    await this.#process?.stop();
  }

  /** Reads the agent's status. */
  async status(): Promise<AgentStatus> {
    const response = await fetch(`${this.#url}/v1/status`);
    // oxlint-disable-next-line typescript/consistent-type-assertions -- this is the agent of the same version
    return (await response.json()) as AgentStatus;
  }

  /** Waits for a state. Throws an Error when it does not occur within half a minute. */
  async until(wanted: (status: AgentStatus) => boolean, what: string): Promise<AgentStatus> {
    const deadline = performance.now() + TIMEOUT_MS;
    for (;;) {
      const status = await this.status();
      if (wanted(status)) return status;
      if (performance.now() > deadline)
        throw new Error(`The ${this.name} is not ${what} after ${TIMEOUT_MS / 1000} s (revision ${status.revision}).`);
      await delay(10);
    }
  }

  /**
   * Gives a flag's value for this vehicle, over OFREP as programs in the vehicle read it. Throws when there is no such
   * flag.
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
   * Reports a fault under a flag, as a program in the vehicle does. Throws an Error where the agent does not take it.
   */
  async reportFault(key: string, message: string): Promise<void> {
    const response = await fetch(`${this.#url}/v1/fault`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ flagKey: key, message }),
    });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`The agent of the ${this.name} does not take a fault: ${response.status}.`);
  }

  /**
   * Polls until `key` has another value than `before`. Gives that value with the time (performance.now()) at which it
   * was seen. Throws an Error when it does not change within half a minute.
   */
  async valueAfter(key: string, before: unknown): Promise<{ value: unknown; reason: string; at: number }> {
    const deadline = performance.now() + TIMEOUT_MS;
    for (;;) {
      const { value, reason } = await this.evaluate(key);
      const at = performance.now();
      if (JSON.stringify(value) !== JSON.stringify(before)) return { value, reason, at };
      if (at > deadline)
        throw new Error(`${key} is still ${JSON.stringify(before)} in the ${this.name} after ${TIMEOUT_MS / 1000} s.`);
    }
  }

  /** Gives the syncs since its start, oldest first. */
  syncs(): Sync[] {
    const lines = (this.#process?.stderr ?? '').matchAll(/synced to revision \d+ since=(\d+) changed=(\d+)/g);
    return [...lines].map(([, since, changed]) => ({ since: Number(since), changed: Number(changed) }));
  }
}
