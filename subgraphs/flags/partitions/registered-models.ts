/**
 * Warns of models in a scope of which no vehicle is registered. Reads the vehicles subgraph's table
 * (docs/decisions/data/reading-another-subgraphs-table.md).
 */
import { is } from '../../../core/json/shape.ts';
import { nearestName } from '../../../core/validation/nearest-name.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';
import type { GivenScope } from '../changes/change.ts';

/** A hint for people at something that is accepted and may yet be a mistake. */
export interface Warning {
  /** The path of the input; null where it is about no single one. */
  readonly field: string | null;
  readonly message: string;
}

/** Reads the models that vehicles are registered with: one index lookup for each, however many vehicles there are. */
async function registeredModels(db: Reader): Promise<string[]> {
  const rows = await rowsOf(db, { model: is.string })`
    WITH RECURSIVE found AS (
      (SELECT model FROM vehicles ORDER BY model LIMIT 1)
      UNION ALL
      SELECT (SELECT v.model FROM vehicles v WHERE v.model > found.model ORDER BY v.model LIMIT 1) FROM found WHERE found.model IS NOT NULL
    )
    SELECT model FROM found WHERE model IS NOT NULL`;
  return rows.map(({ model }) => model);
}

/** Gives a warning for each model of some scopes that no vehicle has, with the nearest model that one has. */
export async function modelWarnings(db: Reader, scopes: readonly GivenScope[]): Promise<Warning[]> {
  const registered = await registeredModels(db);
  const known = new Set(registered);
  return scopes.flatMap(({ field, models }) =>
    models.flatMap((given, index): Warning[] => {
      // A scope is stored without the blanks around its models; the places are those of the input.
      const model = given.trim();
      if (known.has(model)) return [];
      const nearest = nearestName(model, registered);
      const hint = nearest === null ? 'vehicles of it will get the flag once they are' : `did you mean ${nearest}?`;
      return [{ field: `${field}.${index}`, message: `No vehicle of the model ${model} is registered; ${hint}` }];
    }),
  );
}
