/**
 * Answers "what is this flag for this vehicle now", from memory, from what has been verified.
 */
import { randomUUID } from 'node:crypto';
import { enteredName } from '../../core/evaluation/context.ts';
import { compileFlag, evaluateFlag, type CompiledFlag } from '../../core/evaluation/evaluate.ts';
import type { Evaluation, EvaluationContext, FlagDefinition, JsonObject } from '../../core/model.ts';
import { isJsonObject } from '../../core/json/json-value.ts';
import type { VehicleFacts } from '../facts/known-facts.ts';
import {
  evaluateLocal,
  localKeys,
  unfitOverrides,
  type LocalFlags,
  type UnfitOverride,
} from '../local-flags/local-flags.ts';
import { isStale, type HeldFlag, type StoredVariant, type VehicleState } from '../state.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';

/** What a program may add to, or say instead of, the vehicle's own facts; never the VIN. Null counts as missing. */
export interface ProgramContext {
  readonly model?: string | null | undefined;
  readonly swVersion?: string | null | undefined;
  readonly region?: string | null | undefined;
  readonly attributes?: JsonObject | null | undefined;
}

/**
 * A program's context before anybody has looked at it: a member of a wrong type counts as missing
 * (docs/reference/evaluation.md).
 */
export type UncheckedContext = { readonly [Member in keyof ProgramContext]: unknown };

export interface EvaluatedFlag {
  readonly definition: FlagDefinition;
  readonly evaluation: Evaluation;
  /** Whether it comes from a file of this machine (agent/local-flags): then it is no evaluation of the fleet's flag. */
  readonly local?: true;
}

interface Compiled {
  readonly held: HeldFlag;
  readonly definition: FlagDefinition;
  readonly compiled: CompiledFlag;
}

export class FlagEvaluator {
  #facts: VehicleFacts;
  readonly #ageingClock: AgeingClock;
  /** Drawn at each start: rollouts that are not sticky mix it in. */
  readonly #nonce = randomUUID();
  #state: VehicleState | null = null;
  #flags = new Map<string, Compiled>();
  #local: LocalFlags | null = null;
  #localVin: string | null = null;

  constructor(facts: VehicleFacts, ageingClock: AgeingClock) {
    this.#facts = facts;
    this.#ageingClock = ageingClock;
  }

  /** Evaluates by `facts` from now on, where a program gives none of its own. */
  useFacts(facts: VehicleFacts): void {
    this.#facts = facts;
  }

  /** Evaluates from `state` from now on; only what changed is compiled again. */
  replace(state: VehicleState): void {
    const flags = new Map<string, Compiled>();
    for (const [key, held] of state.flags) {
      const { served } = held;
      if (served === null) continue;
      const known = this.#flags.get(key);
      flags.set(key, {
        held,
        definition: served.definition,
        compiled: known?.held.served?.id === served.id ? known.compiled : compileFlag(served.definition),
      });
    }
    this.#flags = flags;
    this.#state = state;
  }

  /** Evaluates what a file says before all else. `vin`: whose, where there is no control plane to say so. */
  useLocal(local: LocalFlags, vin: string | null): void {
    this.#local = local;
    this.#localVin = vin;
  }

  /**
   * Undefined where there is no such flag. Never throws: a context that cannot be read (a getter of it throws) counts
   * as missing.
   */
  evaluate(key: string, context?: UncheckedContext | null): EvaluatedFlag | undefined {
    try {
      return this.#evaluate(key, context);
    } catch {
      return this.#evaluate(key, null);
    }
  }

  /** The overrides that say nothing, for they do not fit their flag's type. */
  unfitOverrides(): UnfitOverride[] {
    return this.#local === null ? [] : unfitOverrides(this.#local, (key) => this.#flags.get(key)?.definition);
  }

  #evaluate(key: string, context: UncheckedContext | null | undefined): EvaluatedFlag | undefined {
    const flag = this.#flags.get(key);
    if (this.#local !== null) {
      const own = this.#contextOf(this.#state?.identity.vin ?? this.#localVin, context);
      const local = evaluateLocal(this.#local, key, flag?.definition, own, this.#nonce);
      if (local !== undefined) return local;
    }
    if (flag === undefined || this.#state === null) return undefined;
    const evaluation = evaluateFlag(flag.compiled, this.#contextOf(this.#state.identity.vin, context), {
      stale: isStale(flag.held, this.#ageingClock.seconds()),
      nonce: this.#nonce,
    });
    return { definition: flag.definition, evaluation };
  }

  /** All keys, in order. */
  keys(): string[] {
    return [...new Set([...this.#flags.keys(), ...localKeys(this.#local)])].sort();
  }

  /**
   * What the `variant` column holds of a flag: the variant this vehicle has, in the three words that the column
   * allows. A variant of another name counts as `treatment` where a rollout gave it, else as `enabled`.
   */
  storedVariant(flag: HeldFlag, vin: string): StoredVariant {
    if (flag.served === null) return 'control';
    const known = this.#flags.get(flag.key);
    const compiled = known?.held.served?.id === flag.served.id ? known.compiled : compileFlag(flag.served.definition);
    const { variant, reason } = evaluateFlag(compiled, this.#contextOf(vin, null), { nonce: this.#nonce });
    if (variant === 'control' || variant === 'treatment' || variant === 'enabled') return variant;
    return reason === 'SPLIT' ? 'treatment' : 'enabled';
  }

  #contextOf(vin: string | null, context: UncheckedContext | null | undefined): EvaluationContext {
    const { model, swVersion, region } = this.#facts;
    return {
      vin,
      model: enteredName(textOf(context?.model) ?? textOf(model)),
      swVersion: textOf(context?.swVersion) ?? textOf(swVersion),
      region: enteredName(textOf(context?.region) ?? textOf(region)),
      attributes: isJsonObject(context?.attributes) ? context.attributes : null,
    };
  }
}

/** Blanks alone say nothing: the vehicle's own fact counts. */
function textOf(value: unknown): string | null {
  return typeof value === 'string' && value.trim() !== '' ? value : null;
}
