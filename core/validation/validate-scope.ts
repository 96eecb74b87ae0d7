/** Validates which models get a flag. Source: scopes.md, "Scopes and partitions". */
import { FleetFlagError, badInput } from '../errors.ts';
import { checkModelName } from '../partitions/model-name.ts';
import type { Scope } from '../partitions/partition.ts';
import { readLabel } from './text.ts';

/** The most models of one scope. A flag for more is for nearly every vehicle. */
export const MAX_SCOPE = 500;
/** The most characters of a model, as the registry stores it. */
const MAX_MODEL_LENGTH = 100;

/**
 * Gives a scope as it is stored: models as the registry stores them, sorted, because their order means nothing; null
 * for every vehicle.
 *
 * @throws BAD_USER_INPUT below `path` for an empty list, a model named twice, or a text that is no model;
 *   LIMIT_EXCEEDED for more than 500 models
 */
export function validateScope(scope: unknown, path: string): Scope {
  if (scope === null || scope === undefined) return null;
  if (!Array.isArray(scope)) throw badInput(path, 'Expected a list of models.');
  if (scope.length === 0)
    throw badInput(path, 'A scope names at least one model; null is every vehicle, and archiving takes a flag away.');
  if (scope.length > MAX_SCOPE)
    throw new FleetFlagError('LIMIT_EXCEEDED', `A scope may name at most ${MAX_SCOPE} models.`, {
      field: path,
      limit: MAX_SCOPE,
    });
  const models = new Set<string>();
  for (const [index, value] of scope.entries()) {
    const at = `${path}.${index}`;
    const model = readLabel(value, at, { what: 'A model', max: MAX_MODEL_LENGTH });
    checkModelName(model, at, 'a scope of null is every vehicle');
    if (models.has(model)) throw badInput(at, `${JSON.stringify(model)} is named twice.`);
    models.add(model);
  }
  return [...models].sort((a, b) => (a < b ? -1 : 1));
}
