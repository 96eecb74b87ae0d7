/** The dialog that adds guards to the release of a flag, with the fields that guards of a policy have. */
import { useState } from 'preact/hooks';
import type { FieldFault } from '../api/fault-fields.ts';
import { useChange } from '../api/use-query.ts';
import { useWrong } from '../flags/form/use-wrong.ts';
import { AddReleaseGuardsDocument } from '../generated/operations.ts';
import { ReasonDialog } from '../parts/reason-dialog.tsx';
import { PolicyGuardFields } from '../administration/policies/policy-guard-fields.tsx';
import {
  newPolicyGuard,
  policyGuardFaults,
  policyGuardInput,
  type TypedPolicyGuard,
} from '../administration/policies/policy-guard.ts';
import { useReleaseWords } from '../words/use-release-words.ts';

interface GuardDialogProps {
  readonly flagKey: string;
  readonly onClose: () => void;
  /** Called when the release has the guards. */
  readonly onDone: () => void;
}

/** Asks for guards and the reason, and adds them. */
export function GuardDialog({ flagKey, onClose, onDone }: GuardDialogProps) {
  const { texts } = useReleaseWords();
  const [guards, setGuards] = useState<readonly TypedPolicyGuard[]>([newPolicyGuard(0)]);
  const [add, { sending, fault, forget }] = useChange(AddReleaseGuardsDocument, () => {
    onDone();
    onClose();
  });
  const { wrongAt, setFaults } = useWrong(fault);
  const submit = (reason: string) => {
    const found: Record<string, FieldFault> = {};
    for (const [index, guard] of guards.entries()) Object.assign(found, policyGuardFaults(guard, `guards.${index}`));
    setFaults(found);
    if (Object.keys(found).length === 0) add({ flagKey, guards: guards.map(policyGuardInput), reason });
  };
  return (
    <ReasonDialog
      title={texts.addGuards}
      button={texts.addGuards}
      reason="required"
      sending={sending || guards.length === 0}
      fault={fault}
      onClose={onClose}
      send={(reason) => submit(reason ?? '')}
    >
      <p>{texts.addGuardsLead}</p>
      <PolicyGuardFields
        guards={guards}
        wrongAt={wrongAt}
        onGuards={(next) => {
          setGuards(next);
          setFaults({});
          forget();
        }}
      />
    </ReasonDialog>
  );
}
