/** A field for several lines of text, such as a description, a list or JSON. */
import type { ComponentChildren, Ref } from 'preact';
import { Field } from './parts.tsx';
import { UNCORRECTED } from './text-field.tsx';

interface LongTextFieldProps {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly wrong?: string | null | undefined;
  readonly rows: number;
  /** Whether it takes a list of names or JSON, in which the browser must correct nothing. */
  readonly isCode?: boolean;
  /** The keyboard of a phone writes capital letters, for the identification numbers of vehicles. */
  readonly autocapitalize?: 'characters';
  readonly value: string;
  readonly onType: (value: string) => void;
  readonly required?: boolean;
  readonly maxLength?: number;
  /** The area itself, for a form that gives it the focus. */
  readonly area?: Ref<HTMLTextAreaElement>;
}

/** The field for several lines of text. */
export function LongTextField(props: LongTextFieldProps) {
  const { label, hint, wrong, isCode = false, onType, area, ...more } = props;
  return (
    <Field label={label} wrong={wrong} {...(hint !== undefined && { hint })}>
      {(control) => (
        <textarea
          {...control}
          {...(isCode && { ...UNCORRECTED, class: 'code' })}
          {...more}
          {...(area !== undefined && { ref: area })}
          onInput={(event) => onType(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}
