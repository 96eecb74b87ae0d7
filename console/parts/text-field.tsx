/** A field for one line of text, such as a name, a password or a time. */
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { Field } from './parts.tsx';
import { Suggestions } from './suggestions.tsx';

/** The kinds of input, each as its own type: Preact's types do not take a union of them. */
const KINDS = {
  text: { type: 'text' },
  email: { type: 'email' },
  password: { type: 'password' },
  number: { type: 'number' },
  'datetime-local': { type: 'datetime-local' },
  url: { type: 'url' },
} as const;

/** A browser's corrections suit prose, and spoil keys, patterns and JSON. */
export const UNCORRECTED = { autocapitalize: 'off', spellcheck: false } as const;

interface TextFieldProps {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly wrong?: string | null | undefined;
  readonly type?: keyof typeof KINDS;
  /** Whether it takes a key, a pattern or a number, in which the browser must correct nothing. */
  readonly isCode?: boolean;
  /** The keyboard that a phone shows. */
  readonly inputMode?: 'text' | 'decimal' | 'numeric';
  readonly value: string;
  readonly onType: (value: string) => void;
  readonly required?: boolean;
  readonly maxLength?: number;
  readonly min?: number;
  readonly max?: number;
  readonly autoFocus?: boolean;
  readonly autocomplete?: 'off' | 'username' | 'new-password' | 'current-password';
  /** The suggestions, each with its meaning. */
  readonly known?: readonly { readonly key: string; readonly name?: string }[];
  /** The id of suggestions that several fields share. */
  readonly list?: string;
}

/** The field for one line of text. */
export function TextField(props: TextFieldProps) {
  const { label, hint, wrong, type = 'text', isCode = false, value, onType, autocomplete, known, ...more } = props;
  const suggestions = useId();
  return (
    <Field label={label} wrong={wrong} {...(hint !== undefined && { hint })}>
      {(control) => (
        <>
          <input
            {...control}
            {...more}
            {...KINDS[type]}
            {...(isCode && UNCORRECTED)}
            {...(known !== undefined && { list: suggestions })}
            autocomplete={autocomplete ?? 'off'}
            value={value}
            onInput={(event) => onType(event.currentTarget.value)}
          />
          {known !== undefined && <Suggestions id={suggestions} known={known} />}
        </>
      )}
    </Field>
  );
}
