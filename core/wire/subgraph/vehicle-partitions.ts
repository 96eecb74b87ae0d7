/** The partitions of vehicles, as the flags subgraph gives them to gateways. */
import { isObject } from '../../json/json-value.ts';

/** The most VINs in one request. */
export const MAX_PARTITION_VINS = 1_000;

/**
 * Reads the partitions that a subgraph has sent: an object from VINs to partitions, without the vehicles whose model is
 * not known. Gives null for anything else.
 */
export function readVehiclePartitions(value: unknown): ReadonlyMap<string, string> | null {
  if (!isObject(value)) return null;
  const partitions = new Map<string, string>();
  for (const [vin, partition] of Object.entries(value)) {
    if (typeof partition !== 'string' || partition === '') return null;
    partitions.set(vin, partition);
  }
  return partitions;
}
