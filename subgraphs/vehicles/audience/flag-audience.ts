/**
 * The present audience of whole flags: which variant each registered vehicle gets. Core's own evaluation decides, so
 * that these counts and the vehicles cannot disagree.
 */
import { compileFlag } from '../../../core/evaluation/evaluate.ts';
import { ScopedFlags } from '../../../core/evaluation/flag-sets/scoped-flags.ts';
import {
  ENVIRONMENTS,
  type Environment,
  type Evaluation,
  type EvaluationContext,
  type FlagDefinition,
  type JsonValue,
} from '../../../core/model.ts';
import { isObject, isOneOf, membersOf } from '../../../core/json/json-value.ts';
import { is } from '../../../core/json/shape.ts';
import type { VehicleGroup } from './audience.ts';
import { sortedCounts, type Count } from './count.ts';

/** The vehicles that get one value of a flag. */
export interface VariantAudience {
  readonly variant: string;
  readonly value: JsonValue;
  readonly vehicles: number;
  readonly byModel: readonly Count[];
  readonly byRegion: readonly Count[];
}

/** All vehicles that have a flag, by what they get. */
export interface FlagAudience {
  readonly total: number;
  /** The variants that at least one vehicle gets, the most frequent first. */
  readonly variants: readonly VariantAudience[];
}

/** The audiences of a flag before and after a change. Null where no vehicle has the flag. */
export interface AudienceChange {
  readonly before: FlagAudience | null;
  readonly after: FlagAudience | null;
  /** The vehicles to which the change would give another value or variant, or which would lose or get the flag. */
  readonly changedVehicles: number;
}

/** A flag's content, ready to be evaluated with the flags on which it depends. */
export interface EvaluatedContent {
  readonly environment: Environment;
  /** Evaluates the flag for a vehicle; null for a vehicle that does not have it, because it is out of its scope. */
  readonly evaluate: (context: EvaluationContext) => Evaluation | null;
}

const isScope = is.nullable(is.listOf(is.string));

/** `compileFlag` accepts whatever the other members are. */
function isDefinition(value: unknown): value is FlagDefinition {
  return isObject(value) && isOneOf(ENVIRONMENTS, value['environment']) && Array.isArray(value['rules']);
}

/**
 * Reads a flag's content as the flags subgraph gives it.
 *
 * @returns null for null, which stands for a flag that no vehicle has
 * @throws Error for anything else that is no content of a flag
 */
export function readContent(content: unknown): EvaluatedContent | null {
  if (content === null || content === undefined) return null;
  if (!isDefinition(content)) throw new Error('The flags subgraph gave no content of a flag');
  const { dependencies = [] } = membersOf(content);
  if (!is.listOf(isDefinition)(dependencies)) throw new Error('The flags subgraph gave dependencies that are no flags');
  const flags = new ScopedFlags(
    [content, ...dependencies].map((flag) => ({
      compiled: compileFlag(flag),
      scope: isScope(flag.scope) ? flag.scope : null,
    })),
  );
  const evaluate = (context: EvaluationContext) => {
    const evaluated = flags.evaluate(content.key, context);
    return evaluated?.inScope === true ? evaluated.evaluation : null;
  };
  return { environment: content.environment, evaluate };
}

/** A flag's content before and after a change. Null where no vehicle has the flag. */
export interface ContentChange {
  readonly before: EvaluatedContent | null;
  readonly after: EvaluatedContent | null;
}

/**
 * Reads the contents before and after a change, as the flags subgraph gives them.
 *
 * @throws as `readContent`
 */
export function readContents(contents: unknown): ContentChange {
  if (!isObject(contents)) throw new Error('The flags subgraph gave no contents of a change');
  return { before: readContent(contents['before']), after: readContent(contents['after']) };
}

/** The counts of one value, while vehicles are added. */
class VariantCounter {
  vehicles = 0;
  readonly #byModel = new Map<string, number>();
  readonly #byRegion = new Map<string, number>();

  constructor(private readonly evaluation: Evaluation) {}

  add(count: number, { model, region }: VehicleGroup): void {
    this.vehicles += count;
    this.#byModel.set(model, (this.#byModel.get(model) ?? 0) + count);
    this.#byRegion.set(region, (this.#byRegion.get(region) ?? 0) + count);
  }

  result(): VariantAudience {
    const { variant, value } = this.evaluation;
    const [byModel, byRegion] = [sortedCounts(this.#byModel), sortedCounts(this.#byRegion)];
    return { variant, value, vehicles: this.vehicles, byModel, byRegion };
  }
}

/** Names what a vehicle gets: equal for evaluations that serve the same variant and value. */
class ValueKeys {
  /** A flag gives few evaluations, each of them many times. */
  readonly #known = new Map<Evaluation, string>();

  /** Null stands for a vehicle that does not have the flag. */
  of(evaluation: Evaluation | null): string {
    if (evaluation === null) return '';
    let key = this.#known.get(evaluation);
    if (key === undefined) {
      key = JSON.stringify([evaluation.variant, evaluation.value]);
      this.#known.set(evaluation, key);
    }
    return key;
  }
}

/** Counts which vehicles get what of one flag. Keeps only counts, however large the fleet is. */
export class FlagAudienceCounter {
  #total = 0;
  /** The counters by variant and value, because two rules may give the same variant and value. */
  readonly #variants = new Map<string, VariantCounter>();
  readonly #keys = new ValueKeys();

  constructor(private readonly evaluate: EvaluatedContent['evaluate']) {}

  /** Adds one group of vehicles. */
  add(group: VehicleGroup): void {
    const { vins, ...facts } = group;
    const counts = new Map<Evaluation, number>();
    for (const vin of vins) {
      const evaluation = this.evaluate({ vin, ...facts });
      if (evaluation === null) return;
      counts.set(evaluation, (counts.get(evaluation) ?? 0) + 1);
    }
    for (const [evaluation, count] of counts) this.#counterOf(evaluation).add(count, group);
    this.#total += vins.length;
  }

  #counterOf(evaluation: Evaluation): VariantCounter {
    const key = this.#keys.of(evaluation);
    let counter = this.#variants.get(key);
    if (counter === undefined) {
      counter = new VariantCounter(evaluation);
      this.#variants.set(key, counter);
    }
    return counter;
  }

  /** Gives the audience of the vehicles that were added. */
  result(): FlagAudience {
    const variants = Array.from(this.#variants.values(), (counter) => counter.result());
    variants.sort((a, b) => b.vehicles - a.vehicles || (a.variant < b.variant ? -1 : 1));
    return { total: this.#total, variants };
  }
}

/** Counts the vehicles that get something else of one content than of another of the same environment. */
export class ChangedVehiclesCounter {
  vehicles = 0;
  readonly #keys = new ValueKeys();

  constructor(
    private readonly before: EvaluatedContent['evaluate'],
    private readonly after: EvaluatedContent['evaluate'],
  ) {}

  /** Adds one group of vehicles. */
  add({ vins, ...facts }: VehicleGroup): void {
    for (const vin of vins) {
      const context = { vin, ...facts };
      if (this.#keys.of(this.before(context)) !== this.#keys.of(this.after(context))) this.vehicles++;
    }
  }
}
