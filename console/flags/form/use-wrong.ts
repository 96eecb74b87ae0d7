/** The faults of a form beside its fields. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { FieldFaults } from '../../api/fault-fields.ts';
import type { Fault } from '../../api/fault.ts';
import { useWrongAt } from '../../parts/wrong-at.ts';

/** Keeps what a form knows to be wrong, beside what the control plane has found, and focuses the first such field. */
export function useWrong(fault: Fault | null) {
  const [faults, setFaults] = useState<FieldFaults>({});
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [faults, fault]);
  return { form, wrongAt: useWrongAt(faults, fault), setFaults };
}
