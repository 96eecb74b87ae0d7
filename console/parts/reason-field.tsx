/** A field for the reason of an act, which the audit log keeps. */
import { LongTextField } from './long-text-field.tsx';

/** The characters that the control plane accepts for a reason. */
const MAX_REASON = 1_000;

interface ReasonFieldProps {
  readonly label: string;
  readonly hint: string;
  readonly wrong?: string | null | undefined;
  readonly value: string;
  readonly onType: (reason: string) => void;
  readonly required?: boolean;
}

/** The field for a reason. */
export function ReasonField(props: ReasonFieldProps) {
  return <LongTextField rows={3} maxLength={MAX_REASON} {...props} />;
}
