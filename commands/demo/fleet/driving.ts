/**
 * Simulated driving with a known effect: the energy that each vehicle of the fleet uses, trip by trip, with and without
 * the feature. Every run gives the same numbers.
 */
import { murmur3 } from '../../../core/evaluation/bucket.ts';
import { compileFlag, evaluateFlag } from '../../../core/evaluation/evaluate.ts';
import type { FleetVehicle } from './fleet.ts';
import { MEASURED, MEASURED_SHARE } from '../flags.ts';

/** Percent of the model's rated use, so that large and small vehicles can be compared. */
export const DRIVING_METRIC = 'energy_percent_of_rated';
/** The feature's simulated effect on energy use, in percent, which the analysis has to find. */
export const KNOWN_EFFECT = -8;
/** The trips of each vehicle, both before the experiment begins and while it runs. */
export const TRIPS = 8;

/** The mean energy use of the simulated vehicles, in percent of the rated use. */
const MEAN_PERCENT = 108;
/** Standard deviations as shares of the mean: between drivers, and between a driver's trips. */
const BETWEEN_DRIVERS = 0.07;
const BETWEEN_TRIPS = 0.05;
const SEED = 'fleetflag-demo';

/** The time before or during the experiment. */
export type Phase = 'before' | 'during';
/** An arm of the experiment. */
export type Arm = 'control' | 'treatment';

/** Uniform between 0 and 1, exclusive; always the same for the same `name`. */
const uniform = (name: string) => (murmur3(`${SEED}:${name}`) + 0.5) / 2 ** 32;

/** Standard normal, always the same for the same `name` (Box and Muller, 1958). */
const normal = (name: string) =>
  Math.sqrt(-2 * Math.log(uniform(`${name}:radius`))) * Math.cos(2 * Math.PI * uniform(`${name}:angle`));

/** The feature as a vehicle has it, compiled for the agent's own evaluation. */
const FEATURE = compileFlag({
  key: MEASURED,
  environment: 'production',
  type: 'boolean',
  safetyLevel: 'Non-Critical',
  enabled: true,
  defaultValue: false,
  revision: 1,
  rules: [
    {
      id: 'rollout',
      type: 'percentage_rollout',
      priority: 100,
      enabled: true,
      conditions: { rollout_percentage: MEASURED_SHARE, sticky: true },
    },
  ],
});

/** Gives the vehicle's arm while the rollout is on. */
export function armOf(vehicle: FleetVehicle): Arm {
  return evaluateFlag(FEATURE, vehicle).variant === 'treatment' ? 'treatment' : 'control';
}

/** Gives the energy that each of the vehicle's trips used. Before the experiment no vehicle has the feature. */
export function energyOf(vehicle: FleetVehicle, phase: Phase): number[] {
  const driver = 1 + BETWEEN_DRIVERS * normal(vehicle.vin);
  const effect = phase === 'during' && armOf(vehicle) === 'treatment' ? 1 + KNOWN_EFFECT / 100 : 1;
  return Array.from(
    { length: TRIPS },
    (_, trip) =>
      Math.round(
        MEAN_PERCENT * driver * effect * (1 + BETWEEN_TRIPS * normal(`${vehicle.vin}:${phase}:${trip}`)) * 100,
      ) / 100,
  );
}
