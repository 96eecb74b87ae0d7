/** The preview of a rule: who would get what, what else the change does, and the button that makes it. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Fault } from '../../api/fault.ts';
import { AudienceChangeTable } from '../../changes/audience-change.tsx';
import type { useChangeAudience } from '../../changes/change-audience.tsx';
import { DisturbanceField } from '../../changes/disturbance-field.tsx';
import type { Flag } from '../../changes/flag-content.ts';
import type { RuleInput } from '../../generated/operations.ts';
import { FaultNotice, Loading } from '../../parts/parts.tsx';
import { ReasonField } from '../../parts/reason-field.tsx';
import { useWords } from '../../words/language.ts';

/** The consequences of a rule that is saved. */
interface RuleEffects {
  /** Whether it is a kill switch that holds the flag. */
  readonly holds: boolean;
  /** Whether it held the flag, and no longer does. */
  readonly releases: boolean;
  /** Whether a second person has to approve it. */
  readonly waits: boolean;
}

interface RulePreviewProps {
  readonly flag: Flag;
  /** The rule that is shown; null: none is, as after each change of the form. */
  readonly asked: RuleInput | null;
  /** Whether the answer about this rule is there. */
  readonly isAnswered: boolean;
  readonly audience: ReturnType<typeof useChangeAudience>['audience'];
  /** The reason why there is no audience. */
  readonly previewFault: Fault | null;
  readonly effects: RuleEffects;
  /** The refusal of the change. */
  readonly fault: Fault | null;
  /** Whether nothing may be sent now. */
  readonly isBlocked: boolean;
  /** @param reason the reason of a release; empty where none is needed */
  readonly save: (reason: string, mayDisturb: boolean) => void;
}

/** Shows the preview, and keeps what was typed there while the form is changed once more. */
export function RulePreview(props: RulePreviewProps) {
  const { flag, asked, isAnswered, audience, previewFault, effects, fault, isBlocked, save } = props;
  const { holds, releases, waits } = effects;
  const { words } = useWords();
  const [reason, setReason] = useState('');
  const [mayDisturb, setMayDisturb] = useState(false);
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    if (asked !== null) panel.current?.focus();
  }, [asked]);
  if (asked === null) return null;
  // A fault of the rule has to be mended; a part of the control plane that is down must not stop a change.
  const isUnseen =
    previewFault !== null && !['BAD_USER_INPUT', 'LIMIT_EXCEEDED', 'CONFLICT'].includes(previewFault.code);
  return (
    <section ref={panel} class="panel" aria-labelledby="preview-title" tabIndex={-1}>
      <h2 id="preview-title">{words.forms.audience}</h2>
      {previewFault !== null && <FaultNotice fault={previewFault} />}
      {!isAnswered && <Loading />}
      {audience !== undefined && <AudienceChangeTable change={audience} />}
      {!flag.enabled && <p class="notice">{words.forms.flagIsOff}</p>}
      {asked.type === 'USER_ATTRIBUTE' && <p class="quiet">{words.attributesUncounted}</p>}
      {holds && <p class="notice">{words.forms.killsAtOnce}</p>}
      {releases && <p class="notice">{words.forms.releases}</p>}
      {waits && <p class="notice">{words.needsSecondPerson}</p>}
      {releases && (
        <ReasonField
          label={words.forms.releaseReason}
          hint={words.forms.releaseReasonHint}
          wrong={fault?.field === 'reason' ? fault.message : null}
          value={reason}
          onType={setReason}
        />
      )}
      {fault !== null && <FaultNotice fault={fault} />}
      <DisturbanceField fault={fault} mayDisturb={mayDisturb} onCheck={setMayDisturb} />
      {(isUnseen || audience !== undefined) && (
        <div class="buttons">
          <button
            type="button"
            class={holds ? 'button button-danger' : 'button button-main'}
            disabled={isBlocked || (releases && reason.trim() === '')}
            onClick={() => save(reason.trim(), mayDisturb)}
          >
            {isUnseen ? words.forms.saveUnseen : waits ? words.forms.request : words.forms.save}
          </button>
        </div>
      )}
    </section>
  );
}
