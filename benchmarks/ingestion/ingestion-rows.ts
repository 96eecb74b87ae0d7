/** The measurements that the ingestion benchmark stores, the same for each way. */

/** The number of vehicles. */
export const VEHICLES = 500;
/** The most items that a batch may contain. */
export const BATCH_ITEMS = 500;

/** One measurement, as a vehicle sends it. */
export interface VehicleMeasurement {
  readonly flagKey: string;
  readonly variant: string;
  readonly metricName: string;
  readonly value: number;
  readonly timestamp: string;
  readonly tags: Readonly<Record<string, string>>;
}

const ROADS = ['city', 'country', 'motorway'] as const;
const METRICS = ['energy_kwh_per_100km', 'charge_minutes', 'regen_share'] as const;

/** Gives the VIN of a vehicle by its number. */
export const vinOf = (vehicle: number) => `KMHK281HGNU${String(vehicle).padStart(6, '0')}`;
/** Gives the id of a batch by its number. */
export const batchIdOf = (batch: number) => `bench:${batch}`;

/** Gives one batch of one vehicle: measurements of the twenty minutes before `now`, of eight flags. */
export function batchOf(vehicle: number, batch: number, now: number): VehicleMeasurement[] {
  return Array.from({ length: BATCH_ITEMS }, (_, position) => {
    const number = (vehicle * 31 + batch) * BATCH_ITEMS + position;
    return {
      flagKey: `feature_${number % 8}`,
      variant: vehicle % 2 === 0 ? 'control' : 'treatment',
      metricName: METRICS[number % METRICS.length]!,
      value: 12 + (number % 977) / 100,
      timestamp: new Date(now - (batch * BATCH_ITEMS + position) * 100).toISOString(),
      tags: { road: ROADS[number % ROADS.length]! },
    };
  });
}
