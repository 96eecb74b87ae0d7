/** The fields of a rule's conditions, by its type. */
import { faultAt, indexAt, type FieldFaults } from '../api/fault-fields.ts';
import type { Fault } from '../api/fault.ts';
import { useQuery } from '../api/use-query.ts';
import { AllSegmentsDocument, FleetNamesDocument } from '../generated/operations.ts';
import { CheckField } from '../parts/check-field.tsx';
import { ListField } from '../parts/list-field.tsx';
import { Field } from '../parts/parts.tsx';
import { TextField } from '../parts/text-field.tsx';
import { useWords } from '../words/language.ts';
import { ComparisonsFields } from './comparison-fields.tsx';
import { vinsIn, type ConditionsDraft, type RuleDraft } from './rule-draft.ts';

/** The characters that the control plane accepts for a reason. */
const MAX_REASON = 1_000;

interface ConditionProps {
  readonly draft: RuleDraft;
  readonly faults: FieldFaults;
  readonly fault: Fault | null;
  readonly onConditions: (conditions: ConditionsDraft) => void;
}

function useWrong({ faults, fault }: Pick<ConditionProps, 'faults' | 'fault'>) {
  const { words } = useWords();
  return (path: string) => {
    const own = faults[path];
    return own === undefined ? faultAt(fault, path) : words.forms.wrong[own];
  };
}

function TargetFields({ draft: { conditions }, faults, fault, onConditions }: ConditionProps) {
  const { words } = useWords();
  const wrongAt = useWrong({ faults, fault });
  const { data } = useQuery(FleetNamesDocument, {});
  const names = (counts: readonly { readonly key: string }[] | undefined) => (counts ?? []).map(({ key }) => key);
  return (
    <>
      <ListField
        label={words.forms.models}
        hint={words.forms.anyOne}
        wrong={wrongAt('conditions.models')}
        items={conditions.models}
        known={names(data?.fleet.byModel)}
        onItems={(models) => onConditions({ ...conditions, models })}
      />
      <Field label={words.forms.version} hint={words.forms.versionHint} wrong={wrongAt('conditions.sw_version')}>
        {(control) => (
          <input
            {...control}
            type="text"
            autocomplete="off"
            spellcheck={false}
            value={conditions.version}
            onInput={(event) => onConditions({ ...conditions, version: event.currentTarget.value })}
          />
        )}
      </Field>
      <ListField
        label={words.forms.regions}
        hint={words.forms.anyOne}
        wrong={wrongAt('conditions.regions')}
        items={conditions.regions}
        known={names(data?.fleet.byRegion)}
        onItems={(regions) => onConditions({ ...conditions, regions })}
      />
    </>
  );
}

function ShareFields(props: ConditionProps) {
  const { draft, onConditions } = props;
  const { conditions } = draft;
  const { words } = useWords();
  const wrongAt = useWrong(props);
  return (
    <>
      <Field
        label={words.forms.percentage}
        hint={words.forms.percentageHint}
        wrong={wrongAt('conditions.rollout_percentage')}
      >
        {(control) => (
          <input
            {...control}
            type="text"
            inputMode="decimal"
            autocomplete="off"
            value={conditions.percentage}
            onInput={(event) => onConditions({ ...conditions, percentage: event.currentTarget.value })}
          />
        )}
      </Field>
      <TargetFields {...props} />
      <Field label={words.forms.salt} hint={words.forms.saltHint} wrong={wrongAt('conditions.salt')}>
        {(control) => (
          <input
            {...control}
            type="text"
            autocomplete="off"
            spellcheck={false}
            value={conditions.salt}
            onInput={(event) => onConditions({ ...conditions, salt: event.currentTarget.value })}
          />
        )}
      </Field>
      <CheckField
        label={words.forms.sticky}
        checked={conditions.sticky}
        onCheck={(sticky) => onConditions({ ...conditions, sticky })}
      />
    </>
  );
}

function WhitelistField(props: ConditionProps) {
  const { draft, fault, onConditions } = props;
  const { conditions } = draft;
  const { words, formats } = useWords();
  const wrong = useWrong(props)('conditions.vins');
  const vins = vinsIn(conditions.vins);
  const faulty = vins[indexAt(fault, 'conditions.vins') ?? -1];
  return (
    <Field
      label={words.forms.vins}
      hint={words.forms.vinsHint(formats.number(vins.length))}
      wrong={wrong !== null && faulty !== undefined ? `${words.forms.faultyVin(faulty)} ${wrong}` : wrong}
    >
      {(control) => (
        <textarea
          {...control}
          class="code"
          rows={6}
          autocapitalize="characters"
          spellcheck={false}
          value={conditions.vins}
          onInput={(event) => onConditions({ ...conditions, vins: event.currentTarget.value })}
        />
      )}
    </Field>
  );
}

function SwitchFields(props: ConditionProps) {
  const { draft, onConditions } = props;
  const { conditions } = draft;
  const { words } = useWords();
  const wrongAt = useWrong(props);
  return (
    <>
      <CheckField
        label={words.forms.holds}
        checked={conditions.holds}
        onCheck={(holds) => onConditions({ ...conditions, holds })}
      />
      <Field label={words.forms.killReason} hint={words.killReasonHint} wrong={wrongAt('conditions.reason')}>
        {(control) => (
          <textarea
            {...control}
            rows={3}
            maxLength={MAX_REASON}
            value={conditions.why}
            onInput={(event) => onConditions({ ...conditions, why: event.currentTarget.value })}
          />
        )}
      </Field>
    </>
  );
}

/** The fields of a rule's conditions, and the segment that narrows them. */
export function ConditionFields(props: ConditionProps) {
  const { draft, onConditions } = props;
  const { words } = useWords();
  const { data } = useQuery(AllSegmentsDocument, {});
  const wrongAt = useWrong(props);
  return (
    <>
      <OwnFields {...props} />
      {draft.type !== 'KILL_SWITCH' && (
        <TextField
          label={words.segment.inRule}
          hint={words.segment.inRuleHint}
          wrong={wrongAt('conditions.segment')}
          maxLength={100}
          value={draft.conditions.segment}
          known={data?.segments ?? []}
          onType={(segment) => onConditions({ ...draft.conditions, segment })}
        />
      )}
    </>
  );
}

function OwnFields(props: ConditionProps) {
  const { draft, faults, fault, onConditions } = props;
  switch (draft.type) {
    case 'PERCENTAGE_ROLLOUT':
      return <ShareFields {...props} />;
    case 'VEHICLE_TARGET':
      return <TargetFields {...props} />;
    case 'VEHICLE_WHITELIST':
      return <WhitelistField {...props} />;
    case 'USER_ATTRIBUTE':
      return (
        <ComparisonsFields conditions={draft.conditions} faults={faults} fault={fault} onConditions={onConditions} />
      );
    case 'KILL_SWITCH':
      return <SwitchFields {...props} />;
  }
}
