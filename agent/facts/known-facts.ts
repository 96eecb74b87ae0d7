/**
 * The facts by which a vehicle is evaluated: those of its own settings, and where they leave one out, the registered
 * one.
 */
import { FACT_NAMES, type RegisteredFacts } from '../../core/wire/vehicle-facts.ts';

/** What the vehicle's settings say of it beside its VIN. */
export interface VehicleFacts {
  readonly model?: string | undefined;
  readonly swVersion?: string | undefined;
  readonly region?: string | undefined;
}

/** Registered facts whose signature has been verified. */
export interface VerifiedFacts {
  /** The compact JWS. */
  readonly jws: string;
  readonly facts: RegisteredFacts;
}

/** A fact that the vehicle's settings and the control plane see differently: the settings win. */
export interface FactDifference {
  readonly fact: keyof RegisteredFacts;
  readonly own: string;
  readonly registered: string;
}

export class KnownFacts {
  #registered: VerifiedFacts | null = null;
  #facts: VehicleFacts;
  #confirmedAt: number | null = null;

  constructor(private readonly own: VehicleFacts) {
    this.#facts = own;
  }

  /** The facts to evaluate by. */
  get facts(): VehicleFacts {
    return this.#facts;
  }

  /** The registered facts; null until they are known. */
  get registered(): VerifiedFacts | null {
    return this.#registered;
  }

  /**
   * When the control plane last said what is registered, since the start: milliseconds since 1970, by the vehicle's
   * clock; null: not yet.
   */
  get confirmedAt(): number | null {
    return this.#confirmedAt;
  }

  /** Whether the settings leave out a fact that the control plane has not told, or told again, since the start. */
  get unconfirmed(): boolean {
    return this.#confirmedAt === null && FACT_NAMES.some((name) => this.own[name] === undefined);
  }

  /** Takes over what is registered now. @param now milliseconds since 1970 */
  learn(registered: VerifiedFacts, now: number): void {
    this.#confirmedAt = now;
    this.restore(registered);
  }

  /** Takes over what was registered when the vehicle's database was written. */
  restore(registered: VerifiedFacts): void {
    this.#registered = registered;
    this.#facts = Object.fromEntries(FACT_NAMES.map((name) => [name, this.own[name] ?? registered.facts[name]]));
  }

  /** The facts that differ, in the order of `FACT_NAMES`. */
  differences(): FactDifference[] {
    const registered = this.#registered?.facts;
    if (registered === undefined) return [];
    return FACT_NAMES.flatMap((fact) => {
      const own = this.own[fact];
      return own === undefined || own === registered[fact] ? [] : [{ fact, own, registered: registered[fact] }];
    });
  }
}
