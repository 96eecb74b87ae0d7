/** The question whether a change may disturb a running experiment. */
import type { Fault } from '../api/fault.ts';
import { CheckField } from '../parts/check-field.tsx';
import { useWords } from '../words/language.ts';

interface DisturbanceFieldProps {
  /** The refusal of the change; null where it was not refused. */
  readonly fault: Fault | null;
  readonly mayDisturb: boolean;
  readonly onCheck: (mayDisturb: boolean) => void;
}

/** Shows a box to check, once the control plane has refused a change for a running experiment. */
export function DisturbanceField({ fault, mayDisturb, onCheck }: DisturbanceFieldProps) {
  const { words } = useWords();
  if (!mayDisturb && fault?.field !== 'force') return null;
  return (
    <CheckField label={words.forms.disturbs} hint={words.forms.disturbsHint} checked={mayDisturb} onCheck={onCheck} />
  );
}
