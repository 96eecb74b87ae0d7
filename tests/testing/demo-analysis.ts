/** The expected result of the demo's experiment: an analysis of its simulated trips without a control plane. */
import { armOf, energyOf, TRIPS, type Arm, type Phase } from '../../commands/demo/driving.ts';
import { MEASURED_SHARE } from '../../commands/demo/flags.ts';
import { FLEET } from '../../commands/demo/fleet.ts';
import { analyse, type Analysis, type ArmSums } from '../../subgraphs/experiments/statistics/analyse.ts';
import { NONE, pairedMomentsOf } from '../../subgraphs/experiments/statistics/testing/simulated-vehicles.ts';

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

export function demoAnalysis(): Analysis {
  const sums = (arm: Arm): ArmSums => {
    const vehicles = FLEET.filter((vehicle) => armOf(vehicle) === arm);
    const means = (phase: Phase) => vehicles.map((vehicle) => mean(energyOf(vehicle, phase)));
    return {
      withHistory: pairedMomentsOf(means('during'), means('before')),
      withoutHistory: NONE,
      observations: vehicles.length * TRIPS,
    };
  };
  return analyse(
    {
      arms: { control: sums('control'), treatment: sums('treatment') },
      treatmentShare: MEASURED_SHARE / 100,
      vehiclesInBothArms: 0,
    },
    { vehiclesInEachArm: FLEET.length / 2, confidenceLevel: 0.95, running: true },
  );
}
