/**
 * The limits of the stored faults of vehicles (`vehicle_faults`). The vehicles subgraph keeps to them; the flags
 * subgraph reads no more rows than they make necessary (docs/decisions/data/reading-another-subgraphs-table.md).
 */
const OF_ONE_CAUSE = 50;

/** The limits of what is stored, and the time for which it is kept. */
export const FAULT_LIMITS = {
  /** The most faults of one vehicle that programs cause, and the most of all others; the newest are kept. */
  faultsOfVehicle: OF_ONE_CAUSE,
  /** The most rows of one vehicle: the faults of both causes. */
  rowsOfVehicle: 2 * OF_ONE_CAUSE,
  /** The days after which a fault is deleted. */
  keptDays: 30,
} as const;
