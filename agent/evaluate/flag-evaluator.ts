/**
 * Evaluates flags for this vehicle, from verified definitions in memory.
 */
import { randomUUID } from 'node:crypto';
import { activationsOf } from '../../core/activation/activation.ts';
import { isStaleInDrive } from '../../core/activation/drive.ts';
import { contentInVehicle } from '../../core/activation/last-known-good.ts';
import { enteredName } from '../../core/evaluation/context.ts';
import { CompiledSet, type SetOptions } from '../../core/evaluation/flag-sets/compiled-set.ts';
import { compileFlag, contentFor, dependsOnOthers, type CompiledFlag } from '../../core/evaluation/evaluate.ts';
import type { Evaluation, EvaluationContext, FlagDefinition, JsonObject } from '../../core/model.ts';
import { isJsonObject } from '../../core/json/json-value.ts';
import { activeFlags, pendingFlags } from '../activation/active-flags.ts';
import type { DriveValues } from '../activation/kept-drive.ts';
import type { VehicleFacts } from '../facts/known-facts.ts';
import {
  flagOfFile,
  localKeys,
  unfitOverrides,
  type LocalFlags,
  type UnfitOverride,
} from '../local-flags/local-flags.ts';
import { isStale, type HeldFlag, type StoredVariant, type VehicleState } from '../state.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';

/**
 * The facts that a program may add to the vehicle's own, or give in their place; never the VIN. Null counts as missing.
 */
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
  /** The revision of a change that waits for the end of the drive; absent where none does. */
  readonly pendingRevision?: number;
}

/** The new content of a flag, in a release that has reached this vehicle. */
export interface NewContent {
  readonly key: string;
  /** The revision of the flag's active definition. */
  readonly revision: number;
  /** A digest that is the same for the same content. */
  readonly digest: string;
  /** The keys of the flags whose evaluation takes it into account: its own, and those that depend on it. */
  readonly readers: readonly string[];
}

/** A flag of the vehicle or of the file of flags, compiled. */
interface PresentFlag {
  /** The flag as the vehicle holds it; null for a flag or an override of the file, which never goes stale. */
  readonly held: HeldFlag | null;
  readonly definition: FlagDefinition;
  readonly compiled: CompiledFlag;
  /** The revision of a change that waits for the end of the drive. */
  readonly pendingRevision?: number | undefined;
}

/** A flag with what is prepared for its evaluations whenever definitions, the vehicle's facts or the drive change. */
interface PreparedFlag extends PresentFlag {
  readonly own: OwnEvaluations;
  /** Whether its value holds during a drive, by its own activation or by that of a flag that names it. */
  readonly isLatched: boolean;
  /** The keys of the flags on which this one depends, directly or through others. */
  readonly dependencies: readonly string[];
}

/** The evaluations of a flag for a program that adds nothing to the vehicle's facts. */
interface OwnEvaluations {
  /** The evaluation where the flag, and all flags on which it depends, are within their TTL. */
  readonly fresh: EvaluatedFlag;
  /** The evaluation where the flag itself is past its TTL. */
  readonly stale: EvaluatedFlag;
}

/** Evaluates flags from the vehicle's present state and facts. */
export class FlagEvaluator {
  #facts: VehicleFacts;
  readonly #ageingClock: AgeingClock;
  /** The string that rollouts with `sticky: false` add to what they hash; random, and new at each start. */
  readonly nonce = randomUUID();
  /** The values by which latched flags are evaluated; null while the vehicle is parked. */
  #drive: DriveValues | null = null;
  /** The keys of the flags that were stale at the start of the drive. */
  #staleInDrive: ReadonlySet<string> = new Set();
  #state: VehicleState | null = null;
  /** The flags and overrides of the file of flags; null where there is none. */
  #local: LocalFlags | null = null;
  #localVin: string | null = null;
  /** The flags that can be evaluated, by key. */
  #flags = new Map<string, PreparedFlag>();
  /** The same flags, compiled together so that one can depend on another. */
  #set = new CompiledSet([]);
  /** The last state of which `storedVariant` was called, and its compiled flags. */
  #stored: { readonly state: VehicleState; readonly set: CompiledSet } | null = null;

  constructor(facts: VehicleFacts, ageingClock: AgeingClock) {
    this.#facts = facts;
    this.#ageingClock = ageingClock;
  }

  /** Evaluates by `facts` from now on, except where a program gives its own. */
  useFacts(facts: VehicleFacts): void {
    this.#facts = facts;
    this.#prepare(false);
  }

  /** Evaluates flags with an activation by the values of a drive from now on; null while the vehicle is parked. */
  useDrive(drive: DriveValues | null): void {
    this.#drive = drive;
    this.#staleInDrive = new Set(drive?.stale);
    this.#prepare(false);
  }

  /** Evaluates from `state` from now on. Only flags that changed are compiled again. */
  replace(state: VehicleState): void {
    const isSameVehicle = this.#state?.identity.vin === state.identity.vin;
    this.#state = state;
    this.#prepare(isSameVehicle);
  }

  /**
   * Evaluates the flags and overrides of a file from now on, in preference to all others.
   *
   * @param vin the VIN to evaluate for where there is no control plane to name it
   */
  useLocal(local: LocalFlags, vin: string | null): void {
    this.#local = local;
    this.#localVin = vin;
    this.#prepare(false);
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
    return this.#local === null ? [] : unfitOverrides(this.#local, (key) => this.#heldDefinition(key));
  }

  #evaluate(key: string, context: UncheckedContext | null | undefined): EvaluatedFlag | undefined {
    const flag = this.#flags.get(key);
    if (flag === undefined) return undefined;
    const seconds = this.#ageingClock.secondsOfRun();
    if (context === undefined || context === null) {
      if (this.#isStale(flag, seconds)) return flag.own.stale;
      if (flag.dependencies.length === 0 || !flag.dependencies.some((other) => this.#isStaleKey(other, seconds)))
        return flag.own.fresh;
    }
    const own = this.#contextOf(this.#vin, context, flag.isLatched);
    return this.#withDefinition(flag, this.#set.evaluate(key, own, this.#options(flag.isLatched, seconds)));
  }

  #options(isLatched: boolean, seconds: number): SetOptions {
    return { stale: (key) => this.#isStaleKey(key, seconds), nonce: this.#nonceOf(isLatched) };
  }

  #nonceOf(isLatched: boolean): string {
    return (isLatched ? this.#drive?.nonce : undefined) ?? this.nonce;
  }

  #isStaleKey(key: string, seconds: number): boolean {
    const flag = this.#flags.get(key);
    return flag !== undefined && this.#isStale(flag, seconds);
  }

  /** Says whether a flag gives its safe default because of its age. A drive delays that for a latched flag. */
  #isStale({ held, isLatched }: PreparedFlag, seconds: number): boolean {
    if (held === null) return false;
    if (this.#drive === null || !isLatched) return isStale(held, seconds);
    const { key, cachedAt, ttlSeconds } = held;
    return isStaleInDrive({ seconds, cachedAt, ttlSeconds, wasStale: this.#staleInDrive.has(key) });
  }

  /** Gives the keys of the flags that give their safe defaults because of their age. */
  staleKeys(): string[] {
    const seconds = this.#ageingClock.seconds();
    return [...this.#flags].flatMap(([key, flag]) => (this.#isStale(flag, seconds) ? [key] : []));
  }

  /** Gives the keys of the flags whose values hold during a drive. */
  latchedKeys(): string[] {
    return [...this.#flags].flatMap(([key, { isLatched }]) => (isLatched ? [key] : []));
  }

  /** Gives the keys of all flags, in order. */
  keys(): string[] {
    return [...new Set([...this.#flags.keys(), ...localKeys(this.#local)])].sort();
  }

  /** Gives the keys of the flags that depend on others: they may serve another value when another flag changes. */
  dependentKeys(): string[] {
    return [...this.#flags.values()]
      .filter(({ compiled }) => dependsOnOthers(compiled))
      .map(({ definition }) => definition.key);
  }

  /** Gives the new contents that are active in this vehicle. A flag that is killed, disabled or gone back has none. */
  newContents(): NewContent[] {
    return [...this.#flags].flatMap(([key, { held, definition, compiled, isLatched }]) => {
      if (held === null || held.from !== undefined || compiled.release === null || compiled.settled !== null) return [];
      const { digest, isNext } = contentInVehicle(definition, this.#contextOf(this.#vin, null, isLatched));
      if (!isNext) return [];
      const dependents = [...this.#flags].filter(([, { dependencies }]) => dependencies.includes(key));
      return [{ key, revision: compiled.revision, digest, readers: [key, ...dependents.map(([other]) => other)] }];
    });
  }

  /**
   * Gives the value of the `variant` column for a flag of `state`: the vehicle's variant as one of the three words that
   * the column allows. A variant of another name counts as `treatment` where a rollout served it, and otherwise as
   * `enabled`.
   */
  storedVariant(flag: HeldFlag, state: VehicleState): StoredVariant {
    if (this.#stored?.state !== state) this.#stored = { state, set: new CompiledSet(this.#compiledOf(state)) };
    const context = this.#contextOf(state.identity.vin, null, false);
    const evaluation = this.#stored.set.evaluate(flag.key, context, { nonce: this.nonce });
    if (evaluation === undefined) return 'control';
    const { variant, reason } = evaluation;
    if (variant === 'control' || variant === 'treatment' || variant === 'enabled') return variant;
    return reason === 'SPLIT' ? 'treatment' : 'enabled';
  }

  get #vin(): string | null {
    return this.#state?.identity.vin ?? this.#localVin;
  }

  #heldDefinition(key: string): FlagDefinition | undefined {
    return this.#state?.flags.get(key)?.served?.definition;
  }

  /**
   * Compiles a held flag, or takes the compiled form of before where the served definition is the same. Gives null
   * where none of the flag's definitions can be served.
   */
  #presentOf(held: HeldFlag): PresentFlag | null {
    if (held.served === null) return null;
    const { definition, id } = held.served;
    const before = this.#flags.get(held.key);
    const isKnown = before?.held?.served?.id === id;
    return { held, definition, compiled: isKnown ? before.compiled : compileFlag(definition) };
  }

  #compiledOf(state: VehicleState): CompiledFlag[] {
    return [...state.flags.values()].flatMap((held) => this.#presentOf(held)?.compiled ?? []);
  }

  /**
   * Prepares the flags that can be evaluated: the active ones of the state, and those of the file in their places.
   *
   * @param isSameContext whether the vehicle and its facts, the drive and the file are the same as at the last call, so
   *   that flags which have not changed keep their evaluations
   */
  #prepare(isSameContext: boolean): void {
    const present = new Map<string, PresentFlag>();
    const state = this.#state;
    for (const [key, held] of state === null ? [] : activeFlags(state)) {
      const flag = this.#presentOf(held);
      if (flag !== null) present.set(key, flag);
    }
    for (const key of localKeys(this.#local)) {
      const flag = this.#local === null ? undefined : flagOfFile(this.#local, key, this.#heldDefinition(key));
      if (flag !== undefined) present.set(key, { held: null, ...flag });
    }
    this.#set = new CompiledSet(Array.from(present.values(), ({ compiled }) => compiled));
    const held = [...present.values()].flatMap((flag) => (flag.held === null ? [] : flag.definition));
    const activations = activationsOf(held);
    const pending = new Map((state === null ? [] : pendingFlags(state)).map(({ key, revision }) => [key, revision]));
    const flags = new Map<string, PreparedFlag>();
    for (const [key, evaluable] of present) {
      const isLatched = evaluable.held !== null && activations.has(key);
      const pendingRevision = pending.get(key);
      const flag = { ...evaluable, isLatched, pendingRevision };
      const before = isSameContext ? this.#flags.get(key) : undefined;
      const isKnown =
        before?.compiled === flag.compiled &&
        before.isLatched === isLatched &&
        before.pendingRevision === pendingRevision &&
        !dependsOnOthers(flag.compiled);
      const dependencies = this.#set.dependenciesOf(key).filter((other) => other !== key);
      flags.set(key, { ...flag, dependencies, own: isKnown ? before.own : this.#evaluateOwn(flag) });
    }
    this.#flags = flags;
  }

  #evaluateOwn(flag: PresentFlag & Pick<PreparedFlag, 'isLatched'>): OwnEvaluations {
    const { key, settled } = flag.compiled;
    const context = this.#contextOf(this.#vin, null, flag.isLatched);
    const { stale } = contentFor(flag.compiled, context);
    const options = { nonce: this.#nonceOf(flag.isLatched) };
    return {
      fresh: Object.freeze(this.#withDefinition(flag, this.#set.evaluate(key, context, options))),
      stale: Object.freeze(this.#withDefinition(flag, settled ?? stale)),
    };
  }

  #withDefinition(flag: PresentFlag, evaluation: Evaluation | undefined): EvaluatedFlag {
    const { held, definition, compiled, pendingRevision } = flag;
    const served = { definition, evaluation: evaluation ?? compiled.unmatched };
    if (held === null) return { ...served, local: true };
    return pendingRevision === undefined ? served : { ...served, pendingRevision };
  }

  #contextOf(vin: string | null, context: UncheckedContext | null | undefined, isLatched: boolean): EvaluationContext {
    return vehicleContext(vin, (isLatched ? this.#drive?.facts : undefined) ?? this.#facts, context);
  }
}

/**
 * Gives the context of an evaluation in a vehicle with these facts.
 *
 * @param given what a program adds, or gives in place of the facts
 */
export function vehicleContext(
  vin: string | null,
  { model, swVersion, region }: VehicleFacts,
  given: UncheckedContext | null | undefined,
): EvaluationContext {
  return {
    vin,
    model: enteredName(textOf(given?.model) ?? textOf(model)),
    swVersion: textOf(given?.swVersion) ?? textOf(swVersion),
    region: enteredName(textOf(given?.region) ?? textOf(region)),
    attributes: isJsonObject(given?.attributes) ? given.attributes : null,
  };
}

/** Gives text that is not blank; null otherwise, so that the vehicle's own fact counts. */
function textOf(value: unknown): string | null {
  return typeof value === 'string' && value.trim() !== '' ? value : null;
}
