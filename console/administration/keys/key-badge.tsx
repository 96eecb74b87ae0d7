import { presentTime } from '../../api/clock.ts';
import type { KeyFragment } from '../../generated/operations.ts';
import { Badge } from '../../parts/parts.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { keyState } from './key-state.ts';

/** The badge that names the state of an API key. */
export function KeyBadge({ apiKey }: { readonly apiKey: KeyFragment }) {
  const { own } = useAdministrationWords();
  const state = keyState(apiKey, presentTime());
  return <Badge tone={state === 'valid' ? 'accent' : 'faint'}>{own.keyStates[state]}</Badge>;
}
