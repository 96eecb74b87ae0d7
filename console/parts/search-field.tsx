/** A field that searches while somebody types, after a pause. */
import { useEffect, useId, useRef, useState } from 'preact/hooks';

/** Milliseconds after the last key press until what was typed is searched for. */
const TYPING_PAUSE_MS = 250;

interface SearchFieldProps {
  readonly label: string;
  readonly placeholder?: string;
  readonly autoFocus?: boolean;
  /** The text that is searched for now. */
  readonly value: string;
  readonly search: (text: string) => void;
}

/**
 * Shows the field. `search` gets the trimmed text. A text that is chosen elsewhere, as by a link, replaces the typed
 * one.
 */
export function SearchField({ label, value, search, ...more }: SearchFieldProps) {
  const id = useId();
  const [typed, setTyped] = useState(value);
  /** The text that is searched for, as far as this field has asked for it or has shown it. */
  const known = useRef(value);
  // Between the last key and the search, another filter may have been chosen, which `search` has to keep.
  const latest = useRef(search);
  latest.current = search;
  useEffect(() => {
    if (value === known.current) return;
    known.current = value;
    setTyped(value);
  }, [value]);
  useEffect(() => {
    const text = typed.trim();
    if (text === value) return;
    const timer = setTimeout(() => {
      known.current = text;
      latest.current(text);
    }, TYPING_PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <div class="field field-search">
      <label for={id}>{label}</label>
      <input
        {...more}
        id={id}
        type="search"
        autocapitalize="off"
        spellcheck={false}
        maxLength={100}
        value={typed}
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
    </div>
  );
}
