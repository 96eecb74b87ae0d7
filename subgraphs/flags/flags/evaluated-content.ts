/** Flags' contents for other subgraphs, which count by them what each vehicle gets. */
import { ENVIRONMENTS, type Environment, type JsonObject } from '../../../core/model.ts';
import { isOneOf, parseJson } from '../../../core/json/json-value.ts';
import { evaluatedTogether, type Definitions } from '../sync/evaluation.ts';
import { dependenciesIn } from './flag.ts';

/**
 * Gives a flag's content with the member `dependencies`: the definitions of the flags on which it depends, directly or
 * through others. A content that depends on none stays as it is.
 *
 * @param content as `flagContent` gives it; null for a flag that no vehicle has
 * @param definitionsOf gives the definitions that vehicles of an environment have
 */
export async function withDependencies(
  content: JsonObject | null,
  definitionsOf: (environment: Environment) => Promise<Definitions>,
): Promise<JsonObject | null> {
  const environment = content?.['environment'];
  if (content === null || !isOneOf(ENVIRONMENTS, environment)) return content;
  const named = dependenciesIn(content);
  if (named.length === 0) return content;
  const definitions = await definitionsOf(environment);
  const together = evaluatedTogether(definitions);
  const needed = new Set(named.flatMap((key) => together.dependenciesOf(key)));
  const dependencies = definitions.definitions
    .map(({ definition }) => definition)
    .filter(({ key }) => needed.has(key) && key !== content['key']);
  return { ...content, dependencies: parseJson(JSON.stringify(dependencies)) };
}
