/** The expected result of the demo's experiment: an analysis of its simulated trips without a control plane. */
import { armOf, energyOf, TRIPS, type Arm } from '../../commands/demo/fleet/driving.ts';
import { MEASURED_SHARE } from '../../commands/demo/flags.ts';
import { FLEET } from '../../commands/demo/fleet/fleet.ts';
import { analyse, type Analysis, type ArmSums } from '../../subgraphs/experiments/statistics/analyse.ts';
import { mapArms } from '../../subgraphs/experiments/statistics/moments.ts';
import {
  countsOf,
  NONE,
  NOTHING_GATHERED,
  pairedMomentsOf,
} from '../../subgraphs/experiments/statistics/testing/simulated-vehicles.ts';

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

export function demoAnalysis(): Analysis {
  const sums = (arm: Arm): ArmSums => {
    const vehicles = FLEET.filter((vehicle) => armOf(vehicle) === arm);
    // The metric has no window, so a vehicle counts with its first trip.
    const firsts = vehicles.map((vehicle) => energyOf(vehicle, 'during')[0] ?? NaN);
    const means = vehicles.map((vehicle) => mean(energyOf(vehicle, 'before')));
    return {
      withHistory: pairedMomentsOf(firsts, means),
      withoutHistory: NONE,
      ...countsOf(vehicles.length),
      observations: vehicles.length * TRIPS,
    };
  };
  const arms = { control: sums('control'), treatment: sums('treatment') };
  const exposures = [{ treatmentShare: MEASURED_SHARE / 100, vehicles: mapArms(arms, ({ exposed }) => exposed) }];
  // The figures of the sequential test depend on the range that the fleet's history gave, and are not expected here.
  return analyse({ arms, exposures }, NOTHING_GATHERED, { confidenceLevel: 0.95, running: false });
}
