/** CPU time of short calls. */
import { median } from './numbers.ts';

const SAMPLES = 7;

/**
 * Gives the nanoseconds of CPU that one call takes, the median of several samples, and the share of calls that were
 * true.
 */
export function nanosecondsOf(calls: number, call: (index: number) => boolean): { ns: number; share: number } {
  const samples: number[] = [];
  let on = 0;
  for (let sample = 0; sample <= SAMPLES; sample++) {
    const before = process.cpuUsage();
    on = 0;
    for (let index = 0; index < calls; index++) if (call(index)) on++;
    const { user, system } = process.cpuUsage(before);
    // The first warms up.
    if (sample > 0) samples.push(((user + system) * 1_000) / calls);
  }
  return { ns: median(samples), share: on / calls };
}
