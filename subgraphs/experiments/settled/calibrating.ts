/** The fixing of a metric's range by the vehicles that have measured it, and what counts in it. */
import type { MetricDefinition } from '../definitions/metric-definition.ts';
import { calibrate, calibrateDeclared, CAP_VEHICLES, type Calibration } from './calibration.ts';
import type { Counting, Epoch, SettledVehicles } from './settled-vehicles.ts';

/**
 * Gives the range of a metric that is compared; null until there are vehicles enough to fix it.
 *
 * @param provisional whether a metric that nobody declared, and that is 0 or 1 so far, needs no range yet: then no
 * vehicle is spent on it
 */
export async function rangeOfComparison(
  definition: MetricDefinition | null,
  epoch: Epoch,
  settled: Pick<SettledVehicles, 'first' | 'history'>,
  provisional = true,
): Promise<Calibration | null> {
  const history = await settled.history(epoch);
  const declared = calibrateDeclared(definition, history);
  if (declared !== null) return declared;
  if (history.vehicles >= CAP_VEHICLES) return calibrate(definition, history);
  const first = await settled.first(epoch, CAP_VEHICLES);
  if (provisional && definition === null && first.binary) return null;
  return first.vehicles >= CAP_VEHICLES ? calibrate(definition, first) : null;
}

/** Gives what counts of the vehicles of a metric. */
export const countingOf = ({ kind, minimum, maximum, range, spent }: Calibration): Counting => ({
  binary: kind === 'proportion',
  minimum,
  maximum,
  low: range.low,
  high: range.high,
  spent,
});
