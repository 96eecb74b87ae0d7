/**
 * The flags that the agent evaluates at present. They come from the control plane, the registered facts of the vehicle,
 * and a file of flags; each of these can change on its own, and listeners hear which flags change by that.
 */
import { FACT_NAMES } from '../../core/wire/vehicle-facts.ts';
import type { AgentEvents } from '../agent-events.ts';
import type { KnownFacts, VerifiedFacts } from '../facts/known-facts.ts';
import type { FlagsFileReader } from '../local-flags/flags-file-reader.ts';
import { changedKeys, type LocalFlags, type LocalFlagsStatus } from '../local-flags/local-flags.ts';
import type { Log } from '../log.ts';
import type { VehicleState } from '../state.ts';
import { lastContact } from '../sync/apply.ts';
import type { FlagEvaluator } from './flag-evaluator.ts';

/** The parts that hold the flags. */
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

/** Changes what the evaluator evaluates, and notifies listeners. */
export class PresentFlags {
  readonly #options: PresentFlagsOptions;
  #state: VehicleState | null = null;
  #file: FlagsFileReader | null = null;
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

  /** Evaluates from `next` from now on, and notifies listeners of the flags that change by that. */
  replace(next: VehicleState): void {
    const { evaluator, facts, events } = this.#options;
    const before = this.#state;
    this.#state = next;
    evaluator.useFacts(facts.facts);
    evaluator.replace(next);
    this.#logUnfitOverrides();
    if (before === null) return;
    for (const [key, { served }] of next.flags) {
      if (served !== null && before.flags.get(key)?.served?.id !== served.id)
        events.changed({ key, revision: served.revision, removed: false });
    }
    for (const [key, { served }] of before.flags) {
      if (served !== null && !next.flags.get(key)?.served)
        events.changed({ key, revision: next.revision, removed: true });
    }
  }

  /** Evaluates by the registered facts from now on, and notifies listeners of the flags that change by that. */
  async learn(registered: VerifiedFacts): Promise<void> {
    const { evaluator, facts, events, log, now, saveFacts } = this.#options;
    const known = facts.registered?.facts;
    const before = this.#outcomes();
    facts.learn(registered, now());
    if (known !== undefined && FACT_NAMES.every((name) => known[name] === registered.facts[name])) return;
    for (const { fact, own, registered: there } of facts.differences()) {
      log(
        'warn',
        `${fact} is ${JSON.stringify(own)} in this vehicle's settings but ${JSON.stringify(there)} in the registry; using the settings`,
      );
    }
    await saveFacts();
    evaluator.useFacts(facts.facts);
    for (const [key, { outcome, revision }] of this.#outcomes()) {
      if (before.get(key)?.outcome !== outcome) events.changed({ key, revision, removed: false });
    }
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
      evaluator.useLocal(flags, vin);
      this.#logUnfitOverrides();
      for (const key of before === null ? [] : changedKeys(before, flags)) {
        const now = evaluator.evaluate(key);
        events.changed({ key, revision: now?.evaluation.revision ?? 0, removed: now === undefined });
      }
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

  /** Gives the result of each flag for a program that adds nothing to the vehicle's facts. */
  #outcomes(): Map<string, { readonly outcome: string; readonly revision: number }> {
    const { evaluator } = this.#options;
    const evaluated = evaluator.keys().map((key) => [key, evaluator.evaluate(key)!.evaluation] as const);
    return new Map(
      evaluated.map(([key, evaluation]) => [
        key,
        { outcome: JSON.stringify([evaluation.value, evaluation.variant]), revision: evaluation.revision },
      ]),
    );
  }

  /** Logs each override that no longer fits its flag, because its author believes that it is in effect. */
  #logUnfitOverrides(): void {
    const unfit = this.#options.evaluator.unfitOverrides().map(({ key, type }) => `${key} (${type})`);
    const news = unfit.filter((flag) => !this.#unfitOverrides.includes(flag));
    this.#unfitOverrides = unfit;
    if (news.length > 0)
      this.#options.log('error', `ignoring overrides whose type is not that of their flag: ${news.join(', ')}`);
  }
}
