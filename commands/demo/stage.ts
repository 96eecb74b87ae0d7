/** The processes that the demo starts, in a folder of their own, and their removal. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deleteEmbeddedPostgres } from '../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { ApiClient } from './api-client.ts';
import { Child } from './child-process.ts';
import { DRIVEN } from './fleet/fleet.ts';
import { MobileNetwork } from './fleet/mobile-network.ts';
import { VehicleAgent } from './fleet/vehicle-agent.ts';

/** The credentials of an account. */
export interface DemoAccount {
  readonly email: string;
  readonly password: string;
}

/** Starts and stops the demo's processes. */
export class Stage {
  readonly #children: Child[] = [];
  #controlPlane: Child | undefined;
  #network: MobileNetwork | undefined;
  #port: number;
  #account: DemoAccount | undefined;
  #agents: readonly VehicleAgent[] = [];
  #closed: Promise<void> | undefined;
  readonly #kept: { close(): Promise<void> }[] = [];

  private constructor(
    readonly folder: string,
    private readonly host: string,
    port: number,
  ) {
    this.#port = port;
  }

  /**
   * Opens an empty stage in a temporary folder.
   *
   * @param host the address on which the control plane listens
   * @param port its port; 0 picks a free one, which later starts keep
   */
  static async open(host: string, port: number): Promise<Stage> {
    return new Stage(await mkdtemp(join(tmpdir(), 'fleetflag-demo-')), host, port);
  }

  /** The URL of the control plane on this machine. */
  get url(): string {
    return `http://localhost:${this.#port}`;
  }

  /** The administrator that the control plane's first start has created. Throws before that. */
  get account(): DemoAccount {
    if (this.#account === undefined) throw new Error('There is no administrator yet; call startControlPlane first.');
    return this.#account;
  }

  /** The process id of the control plane; 0 before its first start. */
  get controlPlanePid(): number {
    return this.#controlPlane?.pid ?? 0;
  }

  /** The agents that `startAgents` has started; none before. */
  get agents(): readonly VehicleAgent[] {
    return this.#agents;
  }

  /** The mobile network. Throws before `startControlPlane`. */
  get network(): MobileNetwork {
    if (this.#network === undefined) throw new Error('There is no mobile network yet; call startControlPlane first.');
    return this.#network;
  }

  #spawn(args: readonly string[], settings: Readonly<Record<string, string>> = {}): Child {
    if (this.#closed !== undefined) throw new Error('The demo is shutting down and starts no more processes.');
    const child = new Child(args, settings);
    this.#children.push(child);
    return child;
  }

  /**
   * Starts the control plane and signs in. After `stopControlPlane` it starts again with the same data on the same
   * port.
   *
   * @throws Error with the control plane's output when it does not start
   */
  async startControlPlane(): Promise<ApiClient> {
    const child = this.#spawn(['commands/start.ts'], {
      PORT: String(this.#port),
      HOST: this.host,
      FLEETFLAG_DATA_DIR: join(this.folder, 'control-plane'),
      FLEETFLAG_PLAYGROUND: 'on',
      LOG_LEVEL: 'warn',
    });
    this.#controlPlane = child;
    const [, port] = await child.printed(/FleetFlag ready at http:\/\/localhost:(\d+)/);
    this.#port = Number(port);
    if (this.#account === undefined) {
      const [, email = ''] = await child.printed(/Administrator created: (\S+)/);
      const [, password = ''] = await child.printed(/Password, shown only this once: (\S+)/);
      this.#account = { email, password };
    }
    this.#network ??= await MobileNetwork.open(this.#reachable, this.#port);
    const api = new ApiClient(`http://${this.#reachable}:${this.#port}`);
    await api.signIn(this.#account.email, this.#account.password);
    return api;
  }

  /** The address to connect to; loopback for a server that listens on all addresses. */
  get #reachable(): string {
    if (this.host === '0.0.0.0' || this.host === '::') return '127.0.0.1';
    return this.host.includes(':') ? `[${this.host}]` : this.host;
  }

  /** The URL of the gateway's websocket that avoids the mobile network. */
  get directWsUrl(): string {
    return `ws://${this.#reachable}:${this.#port}/graphql`;
  }

  /** Stops the control plane and keeps its data. */
  async stopControlPlane(): Promise<void> {
    await this.#controlPlane?.stop();
  }

  /** Issues a token to each driven vehicle and starts its agent, which trusts only the control plane's keys. */
  async startAgents(api: ApiClient): Promise<readonly VehicleAgent[]> {
    const keysFile = join(this.folder, 'trusted-keys.json');
    await writeFile(keysFile, await (await fetch(`${api.url}/.well-known/jwks.json`)).text());
    this.#agents = DRIVEN.map(
      (vehicle) =>
        new VehicleAgent({
          vehicle,
          folder: this.folder,
          keysFile,
          wsUrl: this.network.wsUrl,
          spawn: (args) => this.#spawn(args),
        }),
    );
    await Promise.all(
      this.#agents.map(async (agent) => {
        const { issueVehicleToken } = await api.ask<{ issueVehicleToken: { token: string } }>(
          'mutation ($vin: String!) { issueVehicleToken(vin: $vin, environment: PRODUCTION, expiresInDays: 1) { token } }',
          { vin: agent.vehicle.vin },
        );
        await agent.install(issueVehicleToken.token);
        await agent.start();
      }),
    );
    return this.#agents;
  }

  /** Registers a resource, which `close` closes before it stops the processes; gives the resource. */
  keep<T extends { close(): Promise<void> }>(resource: T): T {
    this.#kept.push(resource);
    return resource;
  }

  /** Stops every process and removes the folder. Later calls give the result of the first one. */
  close(): Promise<void> {
    return (this.#closed ??= this.#clear());
  }

  async #clear(): Promise<void> {
    await Promise.all(this.#kept.map((resource) => resource.close()));
    // Agents first: otherwise they would only report that they have lost their control plane.
    const others = this.#children.filter((child) => child !== this.#controlPlane);
    await Promise.all(others.map((child) => child.stop()));
    await this.#network?.close();
    await this.#controlPlane?.stop();
    await deleteEmbeddedPostgres(join(this.folder, 'control-plane'));
    await rm(this.folder, { recursive: true, force: true });
  }
}
