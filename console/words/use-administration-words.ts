/** The hook of the rooms for administrators. */
import { ADMINISTRATION, type AdministrationWords } from './administration.ts';
import { useWords, type PresentWords } from './language.ts';

/** Gives what `useWords` gives, with the words of these rooms. */
export function useAdministrationWords(): PresentWords & { readonly own: AdministrationWords } {
  const spoken = useWords();
  return { ...spoken, own: ADMINISTRATION[spoken.language] };
}
