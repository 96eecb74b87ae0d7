/** The one text that no model may have as its name. */
import { badInput } from '../errors.ts';
import { OTHER_MODELS } from './partition.ts';

/**
 * Refuses the name of the partition of all other models where a model is expected.
 *
 * @param instead what the caller may write, for the message
 * @throws BAD_USER_INPUT at `path`
 */
export function checkModelName(model: string, path: string, instead: string): void {
  if (model === OTHER_MODELS) throw badInput(path, `${OTHER_MODELS} is no model; ${instead}.`);
}
