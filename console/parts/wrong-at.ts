/** The faults at the fields of a form: those that the form finds by itself, and those that the control plane does. */
import { faultAt, type FieldFaults } from '../api/fault-fields.ts';
import type { Fault } from '../api/fault.ts';
import { useWords } from '../words/language.ts';

/** Gives the function that says what is wrong at the path of a field; it gives null where nothing is known to be. */
export function useWrongAt(faults: FieldFaults, fault: Fault | null): (path: string) => string | null {
  const { words } = useWords();
  return (path) => {
    const own = faults[path];
    return own === undefined ? faultAt(fault, path) : words.forms.wrong[own];
  };
}
