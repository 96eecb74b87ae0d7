/** The choice of a language; it is named in itself. */
import { chooseLanguage, useWords } from './language.ts';

/** Shows a button that changes to the other language. */
export function LanguageChoice() {
  const { language, words } = useWords();
  const other = language === 'en' ? 'ko' : 'en';
  return (
    <button type="button" class="button button-plain" lang={other} onClick={() => chooseLanguage(other)}>
      {words.otherLanguage}
    </button>
  );
}
