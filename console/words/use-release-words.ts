/** The hook of what shows releases. */
import { useWords, type PresentWords } from './language.ts';
import { RELEASE_WORDS, type ReleaseWords } from './release-words.ts';

/** Gives what `useWords` gives, with the words of releases. */
export function useReleaseWords(): PresentWords & { readonly texts: ReleaseWords } {
  const spoken = useWords();
  return { ...spoken, texts: RELEASE_WORDS[spoken.language].release };
}
