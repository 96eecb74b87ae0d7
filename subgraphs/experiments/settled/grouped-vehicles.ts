/**
 * The vehicles of an experiment in groups, and one by one: by what they were before their exposure, by the day on which
 * their number became final, and as rows for an export.
 */
import type { ClickHouseClient } from '@clickhouse/client';
import { is, type Shape, type Shaped } from '../../../core/json/shape.ts';
import type { ExposureRecorder } from '../exposures/exposure-recorder.ts';
import type { MetricTables } from '../metrics/metric-store.ts';
import { PLACES, type VehiclesAtPlace } from '../statistics/evidence/places.ts';
import type { Arms, Moments } from '../statistics/moments.ts';
import { judgedOf } from './settled-queries.ts';
import { countingParameters, SettledReader } from './settled-reader.ts';
import type { Counting, Epoch } from './settled-vehicles.ts';

/** The property by which vehicles are grouped. */
export type Grouping = 'model' | 'region' | 'swVersion' | 'day';

/** The vehicles of one arm in a group; the sums are of numbers that are cut to the range. */
export interface ArmOfGroup {
  readonly exposed: number;
  readonly moments: Moments;
  readonly places: readonly VehiclesAtPlace[];
}

/** Vehicles that have the same key: a model, region or version (empty where unknown), or the days since the start. */
export interface GroupOfVehicles {
  readonly key: string;
  readonly arms: Arms<ArmOfGroup>;
}

/** A vehicle as an analysis uses it. */
export interface AnalysedVehicle {
  /** The id of its exposure, which does not name the vehicle. */
  readonly id: string;
  readonly vin: string;
  readonly arm: keyof Arms<unknown>;
  readonly exposedAt: Date;
  /** The time at which its number became final, or will; null for a vehicle that has no window and has not measured. */
  readonly settlesAt: Date | null;
  /** The number as it was measured, and as it was used; null where the vehicle has none, or does not count. */
  readonly measured: number | null;
  readonly used: number | null;
  readonly outOfRange: boolean;
  readonly neverReported: boolean;
  /** Null where the vehicle was not registered. */
  readonly model: string | null;
  readonly region: string | null;
  readonly swVersion: string | null;
}

/** Reads groups of vehicles. All methods reject with SERVICE_UNAVAILABLE when the store does not answer. */
export interface GroupedVehicles {
  /** Gives the groups of the exposed vehicles; of days, only those in which vehicles' numbers became final. */
  groups(epoch: Epoch, counting: Counting, by: Grouping): Promise<GroupOfVehicles[]>;
  /** Gives at most `limit` exposed vehicles in the order of their ids, after one of them. */
  vehicles(epoch: Epoch, counting: Counting, after: string | null, limit: number): Promise<AnalysedVehicle[]>;
}

const KEYS: Readonly<Record<Grouping, string>> = {
  model: 'facts.1',
  region: 'facts.2',
  swVersion: 'facts.3',
  day: 'toString(intDiv(settled_at - {since:Int64}, 86400000))',
};

const groupsOf = (epoch: Epoch, by: Grouping) => `SELECT ${KEYS[by]} AS key, arm,
    toFloat64(count()) AS exposed, toFloat64(countIf(counts)) AS vehicles,
    avgIf(cut, counts) AS mean, varPopStableIf(cut, counts) * vehicles AS m2,
    sumMapIf([toUInt16(round((if(counts, cut, {low:Float64}) - {low:Float64}) / ({high:Float64} - {low:Float64}) * ${PLACES}))], [toFloat64(1)], counts) AS places
  FROM (${judgedOf(epoch)}) ${by === 'day' ? 'WHERE counts' : ''} GROUP BY key, arm`;

const vehicleRows = (epoch: Epoch) => `SELECT toString(exposure) AS id, vin, arm, toFloat64(first_at) AS exposed_at,
    toFloat64(settled_at) AS settles_at, value, cut, toUInt8(counts) AS counts, toUInt8(final AND out) AS is_out, toUInt8(never) AS never, facts.1 AS model, facts.2 AS region, facts.3 AS sw_version
  FROM (${judgedOf(epoch)})
  WHERE {after:String} = '' OR exposure > toUUIDOrZero({after:String})
  ORDER BY exposure LIMIT {limit:UInt32}`;

const ARM = is.oneOf(['treatment', 'control'] as const);

const GROUP_ROW = {
  key: is.string,
  arm: ARM,
  exposed: is.number,
  vehicles: is.number,
  mean: is.nullable(is.number),
  m2: is.nullable(is.number),
  places: is.listOf(is.listOf(is.number)),
} satisfies Shape;
type GroupRow = Shaped<typeof GROUP_ROW>;

const VEHICLE_ROW = {
  id: is.string,
  vin: is.string,
  arm: ARM,
  exposed_at: is.number,
  settles_at: is.number,
  value: is.nullable(is.number),
  cut: is.nullable(is.number),
  counts: is.number,
  is_out: is.number,
  never: is.number,
  model: is.string,
  region: is.string,
  sw_version: is.string,
} satisfies Shape;
type VehicleRow = Shaped<typeof VEHICLE_ROW>;

const NOBODY: ArmOfGroup = { exposed: 0, moments: { count: 0, mean: 0, m2: 0 }, places: [] };

function armOf(row: GroupRow | undefined): ArmOfGroup {
  if (row === undefined) return NOBODY;
  const [places = [], vehicles = []] = row.places;
  return {
    exposed: row.exposed,
    moments: row.vehicles === 0 ? NOBODY.moments : { count: row.vehicles, mean: row.mean ?? NaN, m2: row.m2 ?? NaN },
    places: places.map((place, index) => ({ place, vehicles: vehicles[index] ?? 0 })),
  };
}

const textOrNull = (text: string) => (text === '' ? null : text);

function toVehicle(row: VehicleRow): AnalysedVehicle {
  const [counts, outOfRange] = [Boolean(row.counts), Boolean(row.is_out)];
  return {
    id: row.id,
    vin: row.vin,
    arm: row.arm,
    exposedAt: new Date(row.exposed_at),
    settlesAt: row.settles_at > 0 ? new Date(row.settles_at) : null,
    measured: counts || outOfRange ? row.value : null,
    used: counts ? row.cut : null,
    outOfRange,
    neverReported: Boolean(row.never),
    model: textOrNull(row.model),
    region: textOrNull(row.region),
    swVersion: textOrNull(row.sw_version),
  };
}

/** Reads groups of vehicles from the metrics store. */
export function storedGroupedVehicles(
  { client }: { readonly client: ClickHouseClient },
  tables: Pick<MetricTables, 'make'>,
  exposures: ExposureRecorder,
): GroupedVehicles {
  const reader = new SettledReader(client, tables, exposures);
  return {
    async groups(epoch, counting, by) {
      await reader.record(epoch);
      const found = await reader.rows(GROUP_ROW, groupsOf(epoch, by), epoch, countingParameters(counting));
      const arm = (key: string, name: GroupRow['arm']) =>
        armOf(found.find((row) => row.key === key && row.arm === name));
      return [...new Set(found.map(({ key }) => key))].map((key) => ({
        key,
        arms: { control: arm(key, 'control'), treatment: arm(key, 'treatment') },
      }));
    },
    async vehicles(epoch, counting, after, limit) {
      await reader.record(epoch);
      const more = { ...countingParameters(counting), after: after ?? '', limit };
      return (await reader.rows(VEHICLE_ROW, vehicleRows(epoch), epoch, more)).map(toVehicle);
    },
  };
}
