import { canonicalJson } from '../../core/json/canonical-json.ts';
import type { FlagDefinition } from '../../core/model.ts';

/**
 * Gives what a definition says, as text that is equal for equal content. A new signature does not change it. A stage of
 * a release does, for every vehicle alike: restarts by chance are then as frequent outside of the ring as in it.
 */
export function watchedContent(definition: FlagDefinition): string {
  return canonicalJson({ ...definition, revision: 0 });
}
