/**
 * The facts by which a vehicle is evaluated: those of its own settings, and the registered ones where a setting is
 * missing.
 */
import { FACT_NAMES, type RegisteredFacts } from '../../core/wire/vehicle/vehicle-facts.ts';

/** The facts of a vehicle besides its VIN: those of its settings, or those combined with the registered ones. */
export interface VehicleFacts {
  readonly model?: string | undefined;
  readonly swVersion?: string | undefined;
  readonly region?: string | undefined;
}

/** Registered facts whose signature has been verified. */
export interface VerifiedFacts {
  /** The facts as a compact JWS. */
  readonly jws: string;
  readonly facts: RegisteredFacts;
}

/** A fact whose setting differs from the registered value. The setting wins. */
export interface FactDifference {
  readonly fact: keyof RegisteredFacts;
  readonly own: string;
  readonly registered: string;
}

/** Combines the facts of the settings with the registered ones. */
export class KnownFacts {
  #registered: VerifiedFacts | null = null;
  #facts: VehicleFacts;
  #factsInEffect: VehicleFacts;
  #confirmedAt: number | null = null;

  constructor(private readonly own: VehicleFacts) {
    this.#facts = this.#factsInEffect = own;
  }

  /** The newest facts. They take effect once they are stored. */
  get facts(): VehicleFacts {
    return this.#facts;
  }

  /** The facts by which flags are evaluated. New ones wait for their write, so that a restart changes nothing. */
  get factsInEffect(): VehicleFacts {
    return this.#factsInEffect;
  }

  /** The registered facts; null until they are known. */
  get registered(): VerifiedFacts | null {
    return this.#registered;
  }

  /**
   * The time at which the control plane last confirmed the registered facts, in milliseconds since 1970 by the
   * vehicle's clock; null where it has not since the start.
   */
  get confirmedAt(): number | null {
    return this.#confirmedAt;
  }

  /** Whether a setting is missing and the control plane has not confirmed the registered facts since the start. */
  get unconfirmed(): boolean {
    return this.#confirmedAt === null && FACT_NAMES.some((name) => this.own[name] === undefined);
  }

  /**
   * Adopts the facts that are registered now. The caller stores them, and then has them take effect.
   *
   * @param now milliseconds since 1970
   */
  learn(registered: VerifiedFacts, now: number): void {
    this.#confirmedAt = now;
    this.#adopt(registered);
  }

  /** Has flags evaluated by the newest facts from now on. */
  takeEffect(): void {
    this.#factsInEffect = this.#facts;
  }

  /** Adopts the facts that were registered when the vehicle's database was written. They take effect at once. */
  restore(registered: VerifiedFacts): void {
    this.#adopt(registered);
    this.takeEffect();
  }

  #adopt(registered: VerifiedFacts): void {
    this.#registered = registered;
    this.#facts = Object.fromEntries(FACT_NAMES.map((name) => [name, this.own[name] ?? registered.facts[name]]));
  }

  /** Gives the facts whose settings differ from the registered values, in the order of `FACT_NAMES`. */
  differences(): FactDifference[] {
    const registered = this.#registered?.facts;
    if (registered === undefined) return [];
    return FACT_NAMES.flatMap((fact) => {
      const own = this.own[fact];
      return own === undefined || own === registered[fact] ? [] : [{ fact, own, registered: registered[fact] }];
    });
  }
}
