/**
 * Limits that several gateways on one port share. Each gateway has some places of its own, which it takes without a
 * message; one process lends the rest. So the limit is never exceeded, and ordinary use waits for no message between
 * processes (docs/decisions/processes/worker-processes.md).
 */

/** The places of limits that are lent to gateways, by name. */
export interface SharedLimits {
  /** The number of gateways. */
  readonly gateways: number;
  /**
   * Borrows one of `size` places. Resolves when this gateway has it, in the order of the calls; rejects where there is
   * no lender.
   */
  borrow(name: string, size: number): Promise<void>;
  /**
   * Borrows up to `count` of `size` places. Resolves to the number that were free, which this gateway has from now on.
   */
  borrowSome(name: string, size: number, count: number): Promise<number>;
  giveBack(name: string, count: number): void;
}

/** The limits of a gateway that shares its port with no other. */
export const UNSHARED: SharedLimits = {
  gateways: 1,
  borrow: () => Promise.reject(new Error('A gateway that shares its port with no other has no places to borrow.')),
  borrowSome: () => Promise.resolve(0),
  giveBack: () => undefined,
};

/** The parts of a limit: each gateway has `own` places, and all share `lent` further ones. */
export interface Division {
  readonly own: number;
  readonly lent: number;
}

/**
 * Divides a limit.
 *
 * @param most the most places that a gateway has of its own; it has none if the limit is below the number of gateways
 */
export function divide(limit: number, { gateways }: Pick<SharedLimits, 'gateways'>, most: number): Division {
  if (gateways === 1) return { own: limit, lent: 0 };
  const own = Math.min(most, Math.floor(limit / gateways));
  return { own, lent: limit - own * gateways };
}
