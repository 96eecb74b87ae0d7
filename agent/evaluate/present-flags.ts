/**
 * The flags that the agent evaluates at present. They come from the control plane, the registered facts of the vehicle,
 * and a file of flags; each of these can change on its own, and listeners hear which flags change by that.
 */
import type { EvaluationContext } from '../../core/model.ts';
import { FACT_NAMES } from '../../core/wire/vehicle/vehicle-facts.ts';
import { activeFlags } from '../activation/active-flags.ts';
import type { DriveValues } from '../activation/kept-drive.ts';
import type { AgentEvents } from '../assembly/agent-events.ts';
import type { KnownFacts, VerifiedFacts } from '../facts/known-facts.ts';
import type { FlagsFileReader } from '../local-flags/flags-file-reader.ts';
import { changedKeys, type LocalFlags, type LocalFlagsStatus } from '../local-flags/local-flags.ts';
import type { Log } from '../log.ts';
import type { VehicleState } from '../state.ts';
import { lastContact } from '../sync/apply.ts';
import { EvaluatedContents } from './evaluated-contents.ts';
import { vehicleContext, type FlagEvaluator } from './flag-evaluator.ts';

/** The options of the present flags: the evaluator to which they belong, and the sources of its values. */
export interface PresentFlagsOptions {
  readonly evaluator: FlagEvaluator;
  readonly facts: KnownFacts;
  readonly events: AgentEvents;
  readonly log: Log;
  /** The clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** Stores the registered facts. */
  readonly saveFacts: () => Promise<unknown>;
}

/**
 * The value and variant that a flag serves, as text that is equal for equal ones, and the revision of its definition.
 */
interface Served {
  readonly valueAndVariant: string;
  readonly revision: number;
}

/**
 * Gives the evaluator its flags, facts and drive whenever these change, and notifies listeners of the flags that
 * change.
 */
export class PresentFlags {
  /** The new contents of releases that programs have evaluated. */
  readonly evaluatedContents = new EvaluatedContents();
  readonly #options: PresentFlagsOptions;
  #state: VehicleState | null = null;
  #drive: DriveValues | null = null;
  #file: FlagsFileReader | null = null;
  /** The overrides that do not fit their flags, as the log has them. */
  #unfitOverrides: readonly string[] = [];

  constructor(options: PresentFlagsOptions) {
    this.#options = options;
  }

  /** The state from which flags are evaluated; null before one is loaded or synced. */
  get state(): VehicleState | null {
    return this.#state;
  }

  /** The time of the newest proof, in seconds since 1970; 0 without a state. */
  get lastContactSeconds(): number {
    return this.#state === null ? 0 : lastContact(this.#state);
  }

  /** The values of the drive by which flags with an activation are evaluated; null while the vehicle is parked. */
  get drive(): DriveValues | null {
    return this.#drive;
  }

  /** Gives the context of a vehicle: its VIN and its own facts. During a drive, these are the facts of its start. */
  contextOf(vin: string): EvaluationContext {
    return vehicleContext(vin, this.#drive?.facts ?? this.#options.facts.facts, null);
  }

  /** Gives the values of a drive that begins now. */
  driveBeginningNow(): DriveValues {
    const { evaluator, facts } = this.#options;
    return { facts: facts.facts, nonce: evaluator.nonce, stale: evaluator.staleKeys() };
  }

  /**
   * Evaluates from `next` from now on, and notifies listeners of the flags that change by that.
   *
   * @param drive the values of the drive; null while the vehicle is parked
   */
  replace(next: VehicleState, drive: DriveValues | null = this.#drive): void {
    const { evaluator, facts, events } = this.#options;
    const before = this.#state;
    const isOtherDrive = drive !== this.#drive;
    const others = this.#served([...evaluator.dependentKeys(), ...(isOtherDrive ? evaluator.latchedKeys() : [])]);
    this.#state = next;
    this.#drive = drive;
    this.#change(() => {
      evaluator.useFacts(facts.factsInEffect);
      if (isOtherDrive) evaluator.useDrive(drive);
      evaluator.replace(next);
    });
    this.#logUnfitOverrides();
    if (before === null) return;
    const [was, is] = [activeFlags(before), activeFlags(next)];
    const isNew = (key: string) => {
      const served = is.get(key)?.served ?? null;
      return served !== null && was.get(key)?.served?.id !== served.id;
    };
    for (const [key, { served }] of is) {
      if (served !== null && isNew(key)) events.changed({ key, revision: served.revision, removed: false });
    }
    this.#announceOthers(others, isNew);
    for (const [key, { served }] of was) {
      if (served !== null && !is.get(key)?.served) events.changed({ key, revision: next.revision, removed: true });
    }
  }

  /**
   * Stores the registered facts, evaluates by them from then on, and notifies listeners of the flags that change by
   * that.
   */
  async learn(registered: VerifiedFacts): Promise<void> {
    const { evaluator, facts, log, now, saveFacts } = this.#options;
    const known = facts.registered?.facts;
    facts.learn(registered, now());
    if (known !== undefined && FACT_NAMES.every((name) => known[name] === registered.facts[name])) return;
    for (const { fact, own, registered: ofRegistry } of facts.differences()) {
      log(
        'warn',
        `${fact} is ${JSON.stringify(own)} in this vehicle's settings but ${JSON.stringify(ofRegistry)} in the registry; using the settings`,
      );
    }
    // A drive keeps the facts of its start. Where they were not known then, it gets the first that are.
    if (known === undefined && this.#drive !== null) this.#drive = { ...this.#drive, facts: facts.facts };
    await saveFacts();
    facts.takeEffect();
    // Listeners know already of the flags that have changed during the write.
    const before = this.#served(evaluator.keys());
    this.#change(() => {
      evaluator.useFacts(facts.factsInEffect);
      evaluator.useDrive(this.#drive);
    });
    this.#announceOthers(before, () => false);
  }

  /**
   * Reads a file of flags and follows its changes.
   *
   * @param vin the VIN to evaluate for where there is no control plane to name it
   * @param pollMs the milliseconds between two polls of the file
   * @throws FleetFlagError BAD_USER_INPUT where the file has faults
   */
  async followFile(path: string, vin: string | null, pollMs: number): Promise<void> {
    const { evaluator, events, log } = this.#options;
    const { FlagsFileReader } = await import('../local-flags/flags-file-reader.ts');
    let before: LocalFlags | null = null;
    const use = (flags: LocalFlags) => {
      const dependents = this.#served(evaluator.dependentKeys());
      this.#change(() => evaluator.useLocal(flags, vin));
      this.#logUnfitOverrides();
      const changed = before === null ? [] : changedKeys(before, flags);
      for (const key of changed) {
        const now = evaluator.evaluate(key);
        events.changed({ key, revision: now?.evaluation.revision ?? 0, removed: now === undefined });
      }
      if (before !== null) this.#announceOthers(dependents, (key) => changed.includes(key));
      before = flags;
    };
    this.#file = await FlagsFileReader.open({ path, log, use, pollMs });
  }

  /** Gives the status of the file of flags; null where there is none. */
  fileStatus(): LocalFlagsStatus | null {
    return this.#file?.status(this.#options.evaluator.unfitOverrides().map(({ key }) => key)) ?? null;
  }

  /** Stops following the file of flags. */
  async close(): Promise<void> {
    await this.#file?.close();
  }

  /** Runs a change of the evaluator. From then on, the new contents that are active by it may count as evaluated. */
  #change(change: () => void): void {
    change();
    this.evaluatedContents.follow(this.#options.evaluator.newContents());
  }

  /**
   * Notifies listeners of the flags that serve another value or variant than before though their own definitions are
   * the same: because of a fact, or of a flag on which they depend.
   *
   * @param before what the flags served before
   * @param isAnnounced says whether listeners know of a flag's change already
   */
  #announceOthers(before: ReadonlyMap<string, Served>, isAnnounced: (key: string) => boolean): void {
    for (const [key, { valueAndVariant, revision }] of this.#served(before.keys())) {
      if (before.get(key)?.valueAndVariant !== valueAndVariant && !isAnnounced(key))
        this.#options.events.changed({ key, revision, removed: false });
    }
  }

  /** Gives what flags serve to a program that adds nothing to the vehicle's facts, without flags that do not exist. */
  #served(keys: Iterable<string>): Map<string, Served> {
    return new Map(
      Array.from(keys).flatMap((key) => {
        const evaluation = this.#options.evaluator.evaluate(key)?.evaluation;
        if (evaluation === undefined) return [];
        const valueAndVariant = JSON.stringify([evaluation.value, evaluation.variant]);
        return [[key, { valueAndVariant, revision: evaluation.revision }]];
      }),
    );
  }

  /** Logs each override that no longer fits its flag, because its author believes that it is in effect. */
  #logUnfitOverrides(): void {
    const unfit = this.#options.evaluator.unfitOverrides().map(({ key, type }) => `${key} (${type})`);
    const added = unfit.filter((flag) => !this.#unfitOverrides.includes(flag));
    this.#unfitOverrides = unfit;
    if (added.length > 0)
      this.#options.log(
        'error',
        `ignoring overrides that do not fit the type or value contract of their flag: ${added.join(', ')}`,
      );
  }
}
