/**
 * Partitions: the parts of an environment that vehicles get. A flag's scope says in which partitions it is; a vehicle's
 * registered model says which partition the vehicle has. Pure. Source: scopes.md, "Scopes and partitions".
 */

/** The models that get a flag; null for every vehicle. */
export type Scope = readonly string[] | null;

/** The partition of all vehicles whose model no scope has ever named. No model can have this name. */
export const OTHER_MODELS = '*';

/**
 * Gives the partition of a vehicle.
 *
 * @param model the registered model
 * @param named the models of the environment that a scope has ever named, now or before
 */
export function partitionOf(model: string, named: ReadonlySet<string>): string {
  return named.has(model) ? model : OTHER_MODELS;
}

/** Says whether a flag of this scope is in a partition. */
export function isInPartition(scope: Scope, partition: string): boolean {
  return scope === null || scope.includes(partition);
}

/**
 * Gives the partitions that a flag of this scope is in.
 *
 * @param named the models of the environment that a scope has ever named, those of `scope` among them
 */
export function partitionsOf(scope: Scope, named: Iterable<string>): string[] {
  return scope === null ? [OTHER_MODELS, ...named] : [...scope];
}

/** Says whether every vehicle that gets a flag of scope `narrow` also gets one of scope `wide`. */
export function covers(wide: Scope, narrow: Scope): boolean {
  return wide === null || (narrow !== null && narrow.every((model) => wide.includes(model)));
}
