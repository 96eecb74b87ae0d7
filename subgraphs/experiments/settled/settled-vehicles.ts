/**
 * Vehicles whose number is final, read from the metrics store: each counts once, in the arm of its bucket.
 *
 * A vehicle is exposed by its first row of the flag (an evaluation or a measurement) in the epoch, which each look
 * records before it reads (exposures/exposure-recorder.ts). With a window, its number is settled when the window has
 * passed, of what was measured in it and has arrived by then; without one, by the first measurement to arrive. What
 * arrives later changes nothing, because a number that changed after it was bet on would be no fair bet. Everything
 * therefore goes by the order in which rows arrived, which later rows cannot change.
 */
import type { ClickHouseClient } from '@clickhouse/client';
import { is, type Shape, type Shaped } from '../../../core/json/shape.ts';
import type { MetricKind } from '../definitions/metric-definition.ts';
import type { ExposureRecorder } from '../exposures/exposure-recorder.ts';
import type { MetricTables } from '../metrics/metric-store.ts';
import type { Mixture } from '../statistics/evidence/bets.ts';
import type { Arms } from '../statistics/moments.ts';
import type { Sample } from './calibration.ts';
import { firstOf, heardOf, historyOf, sumsOf } from './settled-queries.ts';
import { countingParameters, float, limitParameters, SettledReader } from './settled-reader.ts';

/** The vehicles of a release that were chosen, not drawn: they have the new content whatever their bucket is. */
export interface ReleaseRing {
  readonly vins: readonly string[];
  readonly models: readonly string[];
  readonly regions: readonly string[];
}

/** The vehicles that are compared, from when on, and how their measurements become numbers. */
export interface Epoch {
  readonly flagKey: string;
  readonly metric: string;
  readonly salt: string;
  /** The buckets of the treatment: from `from` (inclusive) to `to` (exclusive). Control has those from `to` on. */
  readonly from: number;
  readonly to: number;
  /** Rows from here on count, by the vehicles' clocks. */
  readonly since: Date;
  /** The time of the look: what arrived by then counts. */
  readonly now: Date;
  /**
   * Null or absent in a look. In an analysis after the end, what was measured by this time counts whenever it arrived
   * until `now`: late rows, too.
   */
  readonly measuredBy?: Date | null;
  readonly kind: MetricKind;
  /** Milliseconds; null: a vehicle settles with its first measurement. */
  readonly window: number | null;
  /** Milliseconds after which a vehicle without a measurement has not reported, where there is no window. */
  readonly silenceMs: number;
  /**
   * Whether only numbers under the arm's own variant count. A comparison must not: it would leave out vehicles of the
   * treatment only. A bound must: where a rule is narrowed to some vehicles, or its percentage is lowered, others have
   * buckets of the treatment, too, and what they measure under control says nothing about the treatment.
   */
  readonly ownVariantOnly: boolean;
  /**
   * Present for a release: its vehicles are known by their bucket alone, whatever variant they report, and what they
   * measure counts under whichever flag. Chosen vehicles are compared with nobody.
   */
  readonly ring?: ReleaseRing | undefined;
}

/** The settled vehicles that count, and the range to which their numbers are cut. */
export interface Counting {
  /** Whether only 0 and 1 are in range. */
  readonly binary: boolean;
  readonly minimum: number | null;
  readonly maximum: number | null;
  readonly low: number;
  readonly high: number;
  /** Vehicles that do not count. */
  readonly spent: readonly string[];
}

/** The settled vehicles of one arm. */
export interface ArmOfSettled {
  /** The vehicles that are exposed, whether they have reported or not: the arm's share of the draw. */
  readonly exposed: number;
  /** The vehicles that count. */
  readonly counted: number;
  /** The vehicles whose number is out of range, and those that did not report in time. */
  readonly outOfRange: number;
  readonly neverReported: number;
  /** The vehicles that reported the other arm's variant, too. */
  readonly otherVariant: number;
  /** The mean of the counted vehicles' numbers before they are cut; NaN without any. */
  readonly mean: number;
  /** The variance of the cut numbers, with the divisor n; NaN without any. */
  readonly variance: number;
  /** The sums of the vehicles' `logFactor`, one for each bet. */
  readonly logs: readonly number[];
}

/** Reads settled vehicles. All methods reject with SERVICE_UNAVAILABLE when the store does not answer. */
export interface SettledVehicles {
  /** Adds up the bets on the settled vehicles. */
  sums(epoch: Epoch, counting: Counting, bets: Mixture): Promise<Arms<ArmOfSettled>>;
  /** Gives the first settled vehicles, at most `most`, of both arms together. */
  first(epoch: Epoch, most: number): Promise<Sample>;
  /** Gives all vehicles' numbers in the two weeks before the epoch. */
  history(epoch: Epoch): Promise<Sample>;
  /** Gives the time at which the last row of the treatment arrived; null without one since the epoch began. */
  heardAt(epoch: Epoch): Promise<Date | null>;
}

/** An arm without vehicles. */
export const NOBODY: ArmOfSettled = {
  exposed: 0,
  counted: 0,
  outOfRange: 0,
  neverReported: 0,
  otherVariant: 0,
  mean: NaN,
  variance: NaN,
  logs: [],
};

/** A row of `sumsOf`; values that are not finite come as null. */
const SUMS_ROW = {
  arm: is.oneOf(['treatment', 'control'] as const),
  exposed: is.number,
  counted: is.number,
  outOfRange: is.number,
  neverReported: is.number,
  otherVariant: is.number,
  mean: is.nullable(is.number),
  variance: is.nullable(is.number),
  logs: is.listOf(is.nullable(is.number)),
} satisfies Shape;

const SAMPLE_ROW = {
  vehicles: is.number,
  mean: is.nullable(is.number),
  low: is.nullable(is.number),
  high: is.nullable(is.number),
  most: is.nullable(is.number),
  onlyBinary: is.either(is.boolean, is.number),
  vins: is.listOf(is.string),
} satisfies Shape;

const HEARD_ROW = { last: is.number } satisfies Shape;

const toSample = (row: Shaped<typeof SAMPLE_ROW> | undefined, source: Sample['source']): Sample => ({
  source,
  vehicles: row?.vehicles ?? 0,
  mean: row?.mean ?? NaN,
  low: row?.low ?? NaN,
  high: row?.high ?? NaN,
  most: row?.most ?? NaN,
  binary: Boolean(row?.onlyBinary),
  vins: row?.vins ?? [],
});

/**
 * Reads settled vehicles from the metrics store.
 *
 * @param exposures as for `SettledReader`
 */
export function storedSettledVehicles(
  { client }: { readonly client: ClickHouseClient },
  tables: Pick<MetricTables, 'make'>,
  exposures: ExposureRecorder,
): SettledVehicles {
  const reader = new SettledReader(client, tables, exposures);
  return {
    async sums(epoch, counting, bets) {
      await reader.record(epoch);
      const found = await reader.rows(SUMS_ROW, sumsOf(epoch), epoch, {
        ...countingParameters(counting),
        offsetsC: bets.map(({ control }) => float(control.offset)),
        slopesC: bets.map(({ control }) => float(control.slope)),
        offsetsT: bets.map(({ treatment }) => float(treatment.offset)),
        slopesT: bets.map(({ treatment }) => float(treatment.slope)),
      });
      const arm = (name: 'control' | 'treatment'): ArmOfSettled => {
        const row = found.find((candidate) => candidate.arm === name);
        if (row === undefined) return { ...NOBODY, logs: bets.map(() => 0) };
        const logs = bets.map((_, index) => row.logs[index] ?? 0);
        return { ...row, mean: row.mean ?? NaN, variance: row.variance ?? NaN, logs };
      };
      return { control: arm('control'), treatment: arm('treatment') };
    },
    async first(epoch, most) {
      await reader.record(epoch);
      const [row] = await reader.rows(SAMPLE_ROW, firstOf(epoch), epoch, { ...limitParameters(null, null), most });
      return toSample(row, 'first-vehicles');
    },
    async history(epoch) {
      const [row] = await reader.rows(SAMPLE_ROW, historyOf(epoch), epoch, {});
      return toSample(row, 'history');
    },
    async heardAt(epoch) {
      if (epoch.ring !== undefined) await reader.record(epoch);
      // No measurement within a window counts as 0, so a vehicle that evaluates the flag has been heard.
      const anything = epoch.window !== null && epoch.kind !== 'mean';
      const [row] = await reader.rows(HEARD_ROW, heardOf(epoch, anything), epoch, {});
      return row === undefined || row.last <= 0 ? null : new Date(row.last);
    },
  };
}
