/** A field that searches while somebody types, after a pause. */
import { useEffect, useId, useState } from 'preact/hooks';

/** Milliseconds after the last key press until what was typed is searched for. */
const TYPING_PAUSE_MS = 300;

interface SearchFieldProps {
  readonly label: string;
  readonly value: string;
  readonly search: (text: string) => void;
}

/** Shows the field. `search` gets the trimmed text. */
export function SearchField({ label, value, search }: SearchFieldProps) {
  const id = useId();
  const [typed, setTyped] = useState(value);
  useEffect(() => {
    if (typed.trim() === value) return;
    const timer = setTimeout(() => search(typed.trim()), TYPING_PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <div class="field field-search">
      <label for={id}>{label}</label>
      <input
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
