/**
 * A vehicle with a real agent behind a network that can be cut, an agent that can be killed, and a clock that can be
 * set. It keeps the law of what it has to serve beside: what the control plane says at the revision that it holds, but
 * for what a drive holds back (releases.md, "Activation").
 */
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FleetFlagAgent } from '../../agent/assembly/fleet-flag-agent.ts';
import { MAX_STANDSTILLS } from '../../agent/activation/standstills.ts';
import { TEST_TIMINGS } from '../../agent/testing/test-vehicle.ts';
import type { PinnedKeys } from '../../agent/trust/pinned-keys.ts';
import { isMissingFile } from '../../core/caught-error.ts';
import type { Activation, KillActivation } from '../../core/model.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { servedBy, type ServedValue } from '../../subgraphs/flags/testing/release-laws.ts';
import { openProxy, type SeverableProxy } from '../../subgraphs/shared/testing/severable-proxy.ts';

/** The state of a flag at a revision, by the control plane. */
export interface ServedAt {
  readonly isOn: boolean;
  /** The value that this vehicle is served. */
  readonly served: ServedValue;
}

/** The flag that vehicles are asked for. */
export interface WatchedFlag {
  readonly key: string;
  readonly activation: Activation;
  readonly killActivation: KillActivation;
  /** Gives what a vehicle is served at a revision. */
  readonly at: (revision: number, vehicle: ReleasedVehicle) => ServedAt;
}

/** The most milliseconds, all together, by which a vehicle's clock is set forward: half of the TTL of flags. */
const MAX_AHEAD_MS = 302_400_000;

/** The vehicle of a test. */
export class ReleasedVehicle {
  isConnected = true;
  isParked = false;
  #isReported = false;
  /** The milliseconds by which its clock is wrong. */
  #offsetMs = 0;
  #aheadMs = 0;
  #starts = 0;
  #standstills = 0;
  #agent!: FleetFlagAgent;
  #flag: WatchedFlag | null = null;
  /** The revision by which the law was followed last, and what it lets the vehicle serve. */
  #followed = 0;
  #lawful: ServedValue | null = null;

  private constructor(
    readonly context: { readonly vin: string; readonly model: string; readonly region: string },
    private readonly folder: string,
    private readonly proxy: SeverableProxy,
    private readonly keys: PinnedKeys,
  ) {}

  /** Creates a vehicle, and starts its agent. */
  static async create(
    context: ReleasedVehicle['context'],
    { port, token, keys }: { readonly port: number; readonly token: string; readonly keys: PinnedKeys },
  ): Promise<ReleasedVehicle> {
    const folder = await mkdtemp(join(tmpdir(), 'fleetflag-released-'));
    await writeFile(join(folder, 'token'), token);
    const vehicle = new ReleasedVehicle(context, folder, await openProxy({ host: '127.0.0.1', port }), keys);
    await vehicle.#start();
    return vehicle;
  }

  async dispose(): Promise<void> {
    await this.#agent.close();
    await this.proxy.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  get #file(): string {
    return join(this.folder, `flags-${this.#starts}.db`);
  }

  async #start(): Promise<void> {
    const { model, region } = this.context;
    this.#agent = new FleetFlagAgent({
      url: `ws://127.0.0.1:${this.proxy.port}/graphql`,
      tokenFile: join(this.folder, 'token'),
      databaseFile: this.#file,
      keys: this.keys,
      vehicle: { model, region },
      now: () => Date.now() + this.#offsetMs,
      timings: TEST_TIMINGS,
    });
    await this.#agent.start();
  }

  /** Waits until the vehicle holds a revision of its environment. */
  async holds(revision: number): Promise<void> {
    await eventually(() => this.#agent.status().revision >= revision, `${this.context.vin} holds ${revision}`);
  }

  /** Watches another flag, which the vehicle holds, and is parked. */
  watch(flag: WatchedFlag): void {
    this.#flag = flag;
    this.#lawful = null;
    this.#followed = 0;
    this.follow();
  }

  cut(): void {
    this.isConnected = false;
    this.proxy.sever();
  }

  connect(): void {
    this.isConnected = true;
    this.proxy.restore();
  }

  /**
   * Sets its clock. An agent may take a clock that is set forward for time that passes, and flags go stale with time,
   * which is the subject of other laws: past `MAX_AHEAD_MS` in all the clock stays as it is.
   */
  setClock(offsetMs: number): void {
    const aheadMs = this.#aheadMs + Math.max(0, offsetMs - this.#offsetMs);
    if (aheadMs > MAX_AHEAD_MS) return;
    this.#aheadMs = aheadMs;
    this.#offsetMs = offsetMs;
  }

  /** Reports that the vehicle is parked, or drives. */
  async report(isParked: boolean): Promise<void> {
    // The agent counts a bounded number of standstills; one that starts again begins from none.
    if (isParked && !this.isParked && this.#standstills === MAX_STANDSTILLS) await this.kill();
    if (isParked && !this.isParked) this.#standstills += 1;
    await this.#agent.setVehicleState({ ignition: isParked ? 'off' : 'on', moving: !isParked });
    this.isParked = isParked;
    this.#isReported = true;
    this.follow();
  }

  /** Ends the agent as `kill -9` does, at this moment, and starts another one on the files that are left. */
  async kill(): Promise<void> {
    this.proxy.sever();
    const left = this.#file;
    const killed = this.#agent;
    this.#starts += 1;
    this.#standstills = 0;
    for (const generation of ['', '.previous'])
      // Between the two renames of a write one of the files is missing.
      await copyFile(`${left}${generation}`, `${this.#file}${generation}`).catch((error: unknown) => {
        if (!isMissingFile(error)) throw error;
      });
    await killed.close();
    await this.#start();
    // Only a drive that was reported goes on.
    this.#isReported &&= !this.isParked;
    this.isParked = false;
    this.follow(!this.#isReported);
    if (this.isConnected) this.proxy.restore();
  }

  /** The value that programs in the vehicle get now. */
  get served(): ServedValue | null {
    const evaluation = this.#agent.evaluate(this.#flag?.key ?? '')?.evaluation;
    return evaluation === undefined ? null : servedBy(evaluation);
  }

  /** The value that they should get. */
  get lawful(): ServedValue | null {
    return this.#lawful;
  }

  /**
   * Follows the law to the revision that the vehicle holds.
   *
   * @param changesOver whether a standstill or a new drive has begun, so that whatever waits is active
   */
  follow(changesOver = this.isParked): void {
    const { revision } = this.#agent.status();
    const flag = this.#flag;
    if (flag === null || (revision === this.#followed && !changesOver)) return;
    this.#followed = revision;
    const { isOn, served } = flag.at(revision, this);
    const waits = (isOn ? flag.activation : flag.killActivation) !== 'IMMEDIATE';
    if (this.#lawful === null || changesOver || !waits) this.#lawful = served;
  }
}
