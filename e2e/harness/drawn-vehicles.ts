/** Vehicles by the sides on which releases have drawn them, as the control plane evaluates for their VINs. */
import type { Api } from './api.ts';

const EVALUATED =
  'query ($vin: String!) { evaluateFlags(environment: PRODUCTION, context: { vin: $vin }) { flagKey value } }';

/** Gives the values that a vehicle of the production environment gets of flags, in the order of their keys. */
export async function valuesOf(api: Api, vin: string, keys: readonly string[]): Promise<unknown[]> {
  const { evaluateFlags } = await api.ok<{ evaluateFlags: { flagKey: string; value: unknown }[] }>(EVALUATED, { vin });
  return keys.map((key) => evaluateFlags.find(({ flagKey }) => flagKey === key)?.value);
}

/**
 * Chooses VINs of which each release, whose ring is drawn at random, has some with the new value and some with the
 * stable one.
 *
 * @param keys flags, each with a release at 50 %
 * @param atLeast the vehicles on each side of each release; well below half of `count`
 */
export async function vehiclesOnBothSides(
  api: Api,
  keys: readonly string[],
  { count, atLeast }: { readonly count: number; readonly atLeast: number },
): Promise<string[]> {
  const chosen: string[] = [];
  const sides = new Map<string, number>();
  for (let number = 1; chosen.length < count; number++) {
    const vin = `KMHL14JA5PA${String(number).padStart(6, '0')}`;
    const own = (await valuesOf(api, vin, keys)).map((value, index) => `${keys[index]} ${String(value)}`);
    const size = (side: string) => sides.get(side) ?? 0;
    if (own.some((side) => size(side) >= count - atLeast)) continue;
    for (const side of own) sides.set(side, size(side) + 1);
    chosen.push(vin);
  }
  return chosen;
}
