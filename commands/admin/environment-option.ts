import { ENVIRONMENTS, type Environment } from '../../core/model.ts';

/** Reads the value of `--environment`. Throws an Error when it is not an environment. */
export function readEnvironmentOption(value: string | undefined): Environment {
  const found = ENVIRONMENTS.find((environment) => environment === value);
  if (found === undefined) throw new Error(`--environment must be one of ${ENVIRONMENTS.join(', ')}.`);
  return found;
}
