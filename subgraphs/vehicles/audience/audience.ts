/** The audience of a rule, decided by core's own evaluation, so that the preview and the vehicles cannot disagree. */
import { compileFlag, evaluateFlag } from '../../../core/evaluation/evaluate.ts';
import type { EvaluationContext } from '../../../core/model.ts';
import type { ValidRule } from '../../../core/validation/validate-rule.ts';
import { sortedCounts, type Count } from './count.ts';
import type { FlagFacts } from './flag-facts.ts';

/** The vehicles that a rule would reach, in numbers. */
export interface Audience {
  readonly matched: number;
  readonly total: number;
  readonly byModel: readonly Count[];
  readonly byRegion: readonly Count[];
  /** VINs in order: at most 10, spread over the whole fleet. */
  readonly sample: readonly string[];
}

/** Vehicles that have the same facts. */
export interface VehicleGroup {
  readonly model: string;
  readonly swVersion: string;
  readonly region: string;
  readonly vins: readonly string[];
}

const SAMPLE = 10;

/**
 * Gives a check of whether `rule` would reach a vehicle if it were the only rule, and it and the flag were enabled. A
 * rule reaches the vehicles of the flag's scope that it matches; a pulled kill switch reaches all of these. A rollout
 * with `sticky: false` draws again at each start of an agent, so this shows how many vehicles it will reach, but not
 * which.
 */
export function reachOf(flag: FlagFacts, rule: ValidRule): (context: EvaluationContext) => boolean {
  const compiled = compileFlag({
    ...flag,
    safetyLevel: 'Non-Critical',
    enabled: true,
    defaultValue: null,
    revision: 0,
    rules: [{ ...rule, id: 'preview', enabled: true }],
  });
  const { scope = null } = flag;
  const has = (model: unknown) => scope === null || scope.some((one) => one === model);
  return (context) => has(context.model) && evaluateFlag(compiled, context).ruleId !== null;
}

/** Counts a rule's audience, group by group. Stores only counts and a few VINs, however large the fleet is. */
export class AudienceCounter {
  #matched = 0;
  #total = 0;
  readonly #byModel = new Map<string, number>();
  readonly #byRegion = new Map<string, number>();
  /** Every `#stride`-th matched VIN: an even sample, and the same in every run. */
  #sample: string[] = [];
  #stride = 1;

  constructor(private readonly reaches: (context: EvaluationContext) => boolean) {}

  /** Adds one group of vehicles. */
  add({ vins, ...facts }: VehicleGroup): void {
    const before = this.#matched;
    for (const vin of vins) {
      if (!this.reaches({ vin, ...facts })) continue;
      if (this.#matched++ % this.#stride === 0) this.#keep(vin);
    }
    this.#total += vins.length;
    const matched = this.#matched - before;
    if (matched === 0) return;
    this.#byModel.set(facts.model, (this.#byModel.get(facts.model) ?? 0) + matched);
    this.#byRegion.set(facts.region, (this.#byRegion.get(facts.region) ?? 0) + matched);
  }

  #keep(vin: string): void {
    this.#sample.push(vin);
    if (this.#sample.length <= 2 * SAMPLE) return;
    this.#sample = this.#sample.filter((_, index) => index % 2 === 0);
    this.#stride *= 2;
  }

  /**
   * Gives the audience.
   *
   * @param total the number of all vehicles, for when those that cannot match were not added
   */
  result(total = this.#total): Audience {
    const step = Math.max(1, this.#sample.length / SAMPLE);
    const sample = Array.from(
      { length: Math.min(SAMPLE, this.#sample.length) },
      (_, index) => this.#sample[Math.floor(index * step)],
    ).filter((vin) => vin !== undefined);
    return {
      matched: this.#matched,
      total,
      byModel: sortedCounts(this.#byModel),
      byRegion: sortedCounts(this.#byRegion),
      sample: sample.sort(),
    };
  }
}
