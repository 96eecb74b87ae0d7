/** A list of texts: each can be removed, and others are added by typing, with those that are known as suggestions. */
import { useId, useState } from 'preact/hooks';
import { useWords } from '../words/language.ts';
import { Field } from './parts.tsx';
import { Suggestions } from './suggestions.tsx';

interface ListFieldProps {
  readonly label: string;
  readonly hint?: string;
  readonly wrong: string | null;
  readonly items: readonly string[];
  /** The names that are suggested. */
  readonly known: readonly string[];
  /** The meanings of names that do not speak for themselves. */
  readonly labels?: ReadonlyMap<string, string>;
  /** Called with what is being typed, to find what to suggest. */
  readonly onTyped?: (text: string) => void;
  readonly onItems: (items: readonly string[]) => void;
}

/** The field for a list of texts. */
export function ListField({ label, hint, wrong, items, known, labels, onTyped, onItems }: ListFieldProps) {
  const { words } = useWords();
  const [{ text, isItem }, setTyped] = useState({ text: '', isItem: false });
  const suggestions = useId();
  // The text that is being typed counts as the last item, as if it were added: nobody means it not to.
  const added = isItem && items.at(-1) === text.trim() ? items.slice(0, -1) : items;
  const type = (next: string) => {
    const item = next.trim();
    const isNew = item !== '' && !added.includes(item);
    setTyped({ text: next, isItem: isNew });
    onItems(isNew ? [...added, item] : added);
    onTyped?.(next);
  };
  const add = () => {
    setTyped({ text: '', isItem: false });
    onTyped?.('');
  };
  return (
    <div class="list-field">
      <Field label={label} hint={hint} wrong={wrong}>
        {(control) => (
          <div class="with-button">
            <input
              {...control}
              type="text"
              list={suggestions}
              autocomplete="off"
              value={text}
              onInput={(event) => type(event.currentTarget.value)}
              onKeyDown={(event) => {
                if (event.key !== 'Enter' || event.isComposing) return;
                event.preventDefault();
                add();
              }}
            />
            <button type="button" class="button" aria-label={words.forms.addTo(label)} onClick={add}>
              {words.forms.add}
            </button>
            <Suggestions
              id={suggestions}
              known={known
                .filter((item) => !items.includes(item))
                .map((item) => ({ key: item, name: labels?.get(item) }))}
            />
          </div>
        )}
      </Field>
      {added.length > 0 && (
        <ul class="chips" aria-label={label}>
          {added.map((item) => (
            <li key={item} class="chip">
              {item}
              <button
                type="button"
                class="chip-remove"
                aria-label={words.forms.removeThis(item)}
                onClick={() => onItems(items.filter((one) => one !== item))}
              >
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
