/** A yes or no with its label beside it. */
import { useId } from 'preact/hooks';

interface CheckFieldProps {
  readonly label: string;
  readonly hint?: string | undefined;
  readonly checked: boolean;
  readonly onCheck: (checked: boolean) => void;
}

/** A box to check, with its label and its hint. */
export function CheckField({ label, hint, checked, onCheck }: CheckFieldProps) {
  const id = useId();
  return (
    <div class="field field-check">
      <input
        id={id}
        type="checkbox"
        checked={checked}
        aria-describedby={hint === undefined ? undefined : `${id}-about`}
        onChange={(event) => onCheck(event.currentTarget.checked)}
      />
      <label for={id}>{label}</label>
      {hint !== undefined && (
        <p id={`${id}-about`} class="field-about quiet">
          {hint}
        </p>
      )}
    </div>
  );
}
