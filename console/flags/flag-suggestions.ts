/** Suggestions of flags for a field in which somebody types a flag's key: found by its key or by words of its name. */
import { useQuery } from '../api/use-query.ts';
import { FlagKeysDocument, type Environment } from '../generated/operations.ts';
import { useSettled } from '../parts/settled.ts';

/** A flag that is suggested. */
interface Suggestion {
  readonly key: string;
  readonly name: string;
}

/**
 * Gives the first flags that fit what was typed.
 *
 * @param environment the only environment whose flags are meant; null: any
 */
export function useFlagSuggestions(typed: string, environment: Environment | null): readonly Suggestion[] {
  const search = useSettled(typed.trim());
  const { data } = useQuery(FlagKeysDocument, {
    filter: { ...(environment !== null && { environment }), ...(search !== '' && { search }) },
  });
  return data?.flags.nodes ?? [];
}
