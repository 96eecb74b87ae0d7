/**
 * The vehicle for which an agent runs, and the keys that the agent trusts. The token file names the vehicle, and the
 * database where that file cannot be read. The keys come from the options, the database, or the first contact with the
 * control plane.
 */
import type { ChangeOver } from '../activation/change-over.ts';
import type { CompleteAgentOptions } from './agent-options.ts';
import type { PresentFlags } from '../evaluate/present-flags.ts';
import type { VehicleFaults } from '../faults/vehicle-faults.ts';
import type { Route } from '../link/route.ts';
import { readVehicleCredential, type VehicleCredential } from '../link/vehicle-credential.ts';
import { describeError } from '../log.ts';
import type { VehicleIdentity } from '../state.ts';
import type { VehicleStore } from '../store/vehicle-store.ts';
import { fetchPinnedKeys, keySetAddress, type PinnedKeys } from '../trust/pinned-keys.ts';

/** The parts of an agent that its vehicle needs, to load its state and to get keys. */
export interface OwnVehicleParts {
  readonly options: CompleteAgentOptions;
  readonly store: VehicleStore;
  readonly flags: PresentFlags;
  readonly faults: VehicleFaults;
  readonly changeOver: ChangeOver;
  readonly route: Route;
}

/** Reads the identity of the agent's vehicle and its credential, and loads its state. */
export class OwnVehicle {
  readonly #parts: OwnVehicleParts;
  #keys: PinnedKeys | null;

  constructor(parts: OwnVehicleParts) {
    this.#parts = parts;
    this.#keys = parts.options.keys;
  }

  /** The keys to trust; null before any are known. */
  get keys(): PinnedKeys | null {
    return this.#keys;
  }

  /** Reads the vehicle's identity from its token. Logs a token that cannot be read, and gives null for it. */
  async readIdentity(): Promise<VehicleIdentity | null> {
    const { tokenFile, log } = this.#parts.options;
    try {
      const { identity, openFault } = await readVehicleCredential(tokenFile);
      if (openFault !== null) log('warn', `vehicle token file: ${openFault}`);
      return identity;
    } catch (error) {
      log('error', `cannot read the vehicle token: ${describeError(error)}`);
      return null;
    }
  }

  /**
   * Loads the vehicle's state from the database, and evaluates flags from it. Resolves to whether the flags have been
   * synced before.
   *
   * @param identity the identity in the token; null accepts the one in the database
   */
  async load(identity: VehicleIdentity | null): Promise<boolean> {
    const loaded = await this.#parts.store.load(identity, this.#keys);
    if (loaded === null) return false;
    this.#keys = loaded.keys;
    this.#parts.changeOver.resume(loaded);
    await this.#parts.faults.load(this.#parts.flags.state ?? loaded.state, [...loaded.state.latches.keys()]);
    // A flag that made the agent restart repeatedly goes back to its last known good before a program evaluates it.
    await this.#parts.changeOver.settled();
    return loaded.state.lastSyncAt > 0;
  }

  /**
   * Reads the credential for the next connection. Before the first connection, it also loads the state of a vehicle
   * that the token has named only now, and fetches keys where there are none. Rejects where the token cannot be read or
   * is for another vehicle, or where the keys cannot be fetched.
   */
  readonly credential = async (): Promise<VehicleCredential> => {
    const { options, flags, route } = this.#parts;
    const credential = await readVehicleCredential(options.tokenFile);
    const own: VehicleIdentity | undefined = flags.state?.identity;
    const { identity } = credential;
    if (own !== undefined && (own.vin !== identity.vin || own.environment !== identity.environment)) {
      throw new Error('the token is now for another vehicle or environment; restart the agent to use it');
    }
    if (own === undefined) await this.load(identity);
    if (this.#keys === null) {
      const address = keySetAddress(options.url);
      this.#keys = await fetchPinnedKeys(address, options.timings.openMs, route);
      const names = this.#keys.keys.map(({ kid }) => kid).join(', ');
      options.log('warn', `no keys are pinned; trusting those that ${address} serves from now on: ${names}`);
    }
    return credential;
  };
}
