/** Edits of a flag's own fields in memory, for `FlagEdit.edit` and for previews. Rules: rule-edits.ts. */
import { FleetFlagError, badInput } from '../../../../core/errors.ts';
import { checkFlagValue } from '../../../../core/evaluation/values/flag-value.ts';
import { validateFlagDescription, validateFlagName } from '../../../../core/validation/validate-flag.ts';
import { validateDependencies } from '../../../../core/validation/validate-dependencies.ts';
import { validateValueSchema } from '../../../../core/contracts/value-contract.ts';
import { validateActivation, validateKillActivation } from '../../../../core/validation/validate-activation.ts';
import { validateScope } from '../../../../core/validation/validate-scope.ts';
import { checkRestored } from '../../flags/versions/check-restored.ts';
import type { FlagVersion } from '../../flags/versions/flag-versions.ts';
import { restoredFlag, type Flag } from '../../flags/flag.ts';
import type { UpdateFlagInput } from '../../generated/resolvers.ts';
import { checkFields } from './contract-checks.ts';

/** Gives the flag's new state. Throws to refuse the edit. */
export type Edit = (flag: Flag) => Flag;

/** A flag's scope and the flags that it names, in the form of the API; what is absent stays as it is. */
type RelationsInput = Pick<UpdateFlagInput, 'scope' | 'requires' | 'excludes'>;
/** A flag's scope and the flags that it names, as they are stored. */
export type Relations = Pick<Flag, 'scope' | 'requires' | 'excludes'>;

/**
 * Gives the scope and dependencies that a flag has with an input.
 *
 * @param present those that it has without
 * @throws BAD_USER_INPUT below `path`
 */
export function readRelations(
  { scope, requires, excludes }: RelationsInput,
  key: string,
  present: Relations,
  path = 'input',
): Relations {
  const models = scope === undefined ? present.scope : validateScope(scope, `${path}.scope`);
  if (requires == null && excludes == null)
    return { scope: models, requires: present.requires, excludes: present.excludes };
  const named = {
    requires: requires ?? present.requires.map(({ flag: flagKey, variants }) => ({ flagKey, variants })),
    excludes: excludes ?? present.excludes,
  };
  return { scope: models, ...validateDependencies(named, key, path) };
}

/** The members of an input that cannot be null: a flag always has them. */
const KEPT_UNLESS_GIVEN = [
  ...(['name', 'defaultValue', 'safetyLevel', 'environment', 'requires', 'excludes'] as const),
  ...(['activation', 'killActivation'] as const),
];

/**
 * Gives the edit of a flag's own fields.
 *
 * @throws BAD_USER_INPUT below `path`, now or of a value when it edits
 */
export function fieldsEdit(input: UpdateFlagInput, path = 'input'): Edit {
  for (const field of KEPT_UNLESS_GIVEN) {
    if (input[field] === null)
      throw badInput(`${path}.${field}`, `${field} must not be null; omit it to keep the current value.`);
  }
  const name = input.name === undefined ? undefined : validateFlagName(input.name, `${path}.name`);
  const description =
    input.description === undefined ? undefined : validateFlagDescription(input.description, `${path}.description`);
  const valueSchema =
    input.valueSchema === undefined ? undefined : validateValueSchema(input.valueSchema, `${path}.valueSchema`);
  const activation =
    input.activation === undefined ? undefined : validateActivation(input.activation, `${path}.activation`);
  const killActivation =
    input.killActivation === undefined
      ? undefined
      : validateKillActivation(input.killActivation, `${path}.killActivation`);
  return (flag) => {
    const defaultValue =
      input.defaultValue === undefined
        ? flag.defaultValue
        : checkFlagValue(flag.type, input.defaultValue, `${path}.defaultValue`);
    const contract = { valueSchema: valueSchema === undefined ? flag.valueSchema : valueSchema };
    checkFields({ ...flag, ...contract, defaultValue }, input, path);
    return {
      ...flag,
      ...contract,
      name: name ?? flag.name,
      description: description === undefined ? flag.description : description,
      defaultValue,
      safetyLevel: input.safetyLevel ?? flag.safetyLevel,
      environment: input.environment ?? flag.environment,
      activation: activation ?? flag.activation,
      killActivation: killActivation ?? flag.killActivation,
      ...readRelations(input, flag.key, flag, path),
    };
  };
}

/**
 * Gives the edit that brings an earlier content back.
 *
 * @param version what the flag consisted of at `revision`; null where that was not kept
 * @throws BAD_USER_INPUT now for a negative revision; when it edits, NOT_FOUND at `path` where the flag was not in use
 *   in its environment, and as `checkRestored`
 */
export function versionEdit(version: FlagVersion | null, revision: number, path = 'revision'): Edit {
  if (revision < 0) throw badInput(path, `The revision is ${revision}; it must be 0 or more.`);
  return (flag) => {
    if (version === null || version.environment !== flag.environment || version.content['archived'] === true)
      throw new FleetFlagError(
        'NOT_FOUND',
        `No content of ${flag.key} at revision ${revision} of ${flag.environment} is kept; flagVersions lists what is.`,
        { field: path },
      );
    const restored = restoredFlag(flag, version.content, new Date());
    checkRestored(flag, restored, path);
    return restored;
  };
}
