/**
 * Evaluates flags for this vehicle, from verified definitions in memory.
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

/** The facts that a program may add to, or replace of, the vehicle's own; never the VIN. Null counts as missing. */
export interface ProgramContext {
  readonly model?: string | null | undefined;
  readonly swVersion?: string | null | undefined;
  readonly region?: string | null | undefined;
  readonly attributes?: JsonObject | null | undefined;
}

/**
 * A program's context that has not been checked. A member of a wrong type counts as missing
 * (docs/reference/evaluation.md).
 */
export type UncheckedContext = { readonly [Member in keyof ProgramContext]: unknown };

/** An evaluation, with the definition from which it comes. */
export interface EvaluatedFlag {
  readonly definition: FlagDefinition;
  readonly evaluation: Evaluation;
  /** True where the value comes from a file of this machine (agent/local-flags), and not from the control plane. */
  readonly local?: true;
}

interface Compiled {
  readonly held: HeldFlag;
  readonly definition: FlagDefinition;
  readonly compiled: CompiledFlag;
  /** What the vehicle itself gets; evaluated when the definition or the vehicle's facts arrive, and not when asked. */
  readonly own: OwnEvaluation;
}

/** The evaluation for the vehicle's own VIN and facts, within the flag's TTL and past it. */
interface OwnEvaluation {
  readonly fresh: EvaluatedFlag;
  readonly stale: EvaluatedFlag;
}

/** Evaluates flags from the vehicle's present state and facts. */
export class FlagEvaluator {
  #facts: VehicleFacts;
  readonly #ageingClock: AgeingClock;
  /** The string that rollouts with `sticky: false` mix in; it is drawn at each start. */
  readonly #nonce = randomUUID();
  #state: VehicleState | null = null;
  #flags = new Map<string, Compiled>();
  #local: LocalFlags | null = null;
  #localVin: string | null = null;

  constructor(facts: VehicleFacts, ageingClock: AgeingClock) {
    this.#facts = facts;
    this.#ageingClock = ageingClock;
  }

  /** Evaluates by `facts` from now on, except where a program gives its own. */
  useFacts(facts: VehicleFacts): void {
    this.#facts = facts;
    const vin = this.#state?.identity.vin ?? null;
    for (const [key, flag] of this.#flags)
      this.#flags.set(key, { ...flag, own: this.#evaluateOwn(flag.definition, flag.compiled, vin) });
  }

  /** Evaluates from `state` from now on. Only flags that changed are compiled again. */
  replace(state: VehicleState): void {
    const flags = new Map<string, Compiled>();
    const { vin } = state.identity;
    const isSameVehicle = this.#state?.identity.vin === vin;
    for (const [key, held] of state.flags) {
      const { served } = held;
      if (served === null) continue;
      const { definition } = served;
      const before = this.#flags.get(key);
      const known = before?.held.served?.id === served.id ? before : undefined;
      const compiled = known?.compiled ?? compileFlag(definition);
      const own = (isSameVehicle ? known?.own : undefined) ?? this.#evaluateOwn(definition, compiled, vin);
      flags.set(key, { held, definition, compiled, own });
    }
    this.#flags = flags;
    this.#state = state;
  }

  /**
   * Evaluates the flags and overrides of a file from now on, in preference to all others.
   *
   * @param vin the VIN to evaluate for where there is no control plane to name it
   */
  useLocal(local: LocalFlags, vin: string | null): void {
    this.#local = local;
    this.#localVin = vin;
  }

  /**
   * Evaluates a flag; undefined where there is no such flag. Never throws: a context that cannot be read (because a
   * getter throws) counts as missing.
   */
  evaluate(key: string, context?: UncheckedContext | null): EvaluatedFlag | undefined {
    try {
      return this.#evaluate(key, context);
    } catch {
      return this.#evaluate(key, null);
    }
  }

  /** Gives the overrides that have no effect because they do not fit their flag's type. */
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
    const stale = isStale(flag.held, this.#ageingClock.secondsOfRun());
    if (context === undefined || context === null) return stale ? flag.own.stale : flag.own.fresh;
    const evaluation = evaluateFlag(flag.compiled, this.#contextOf(this.#state.identity.vin, context), {
      stale,
      nonce: this.#nonce,
    });
    return { definition: flag.definition, evaluation };
  }

  /** Gives the keys of all flags, in order. */
  keys(): string[] {
    return [...new Set([...this.#flags.keys(), ...localKeys(this.#local)])].sort();
  }

  /**
   * Gives the value of the `variant` column for a flag: the vehicle's variant as one of the three words that the column
   * allows. A variant of another name counts as `treatment` where a rollout served it, and otherwise as `enabled`.
   */
  storedVariant(flag: HeldFlag, vin: string): StoredVariant {
    if (flag.served === null) return 'control';
    const known = this.#flags.get(flag.key);
    const compiled = known?.held.served?.id === flag.served.id ? known.compiled : compileFlag(flag.served.definition);
    const { variant, reason } = evaluateFlag(compiled, this.#contextOf(vin, null), { nonce: this.#nonce });
    if (variant === 'control' || variant === 'treatment' || variant === 'enabled') return variant;
    return reason === 'SPLIT' ? 'treatment' : 'enabled';
  }

  #evaluateOwn(definition: FlagDefinition, compiled: CompiledFlag, vin: string | null): OwnEvaluation {
    const context = this.#contextOf(vin, null);
    const evaluated = (stale: boolean): EvaluatedFlag =>
      Object.freeze({ definition, evaluation: evaluateFlag(compiled, context, { stale, nonce: this.#nonce }) });
    return { fresh: evaluated(false), stale: evaluated(true) };
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

/** Gives text that is not blank; null otherwise, so that the vehicle's own fact counts. */
function textOf(value: unknown): string | null {
  return typeof value === 'string' && value.trim() !== '' ? value : null;
}
