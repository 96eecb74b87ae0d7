/** The fields of a rule's conditions, by its type. */
import { indexAt } from '../../api/fault-fields.ts';
import type { Fault } from '../../api/fault.ts';
import { useQuery } from '../../api/use-query.ts';
import { AllSegmentsDocument, FleetNamesDocument } from '../../generated/operations.ts';
import { CheckField } from '../../parts/check-field.tsx';
import { ListField } from '../../parts/list-field.tsx';
import { LongTextField } from '../../parts/long-text-field.tsx';
import { ReasonField } from '../../parts/reason-field.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { useWords } from '../../words/language.ts';
import { ComparisonsFields } from './comparison-fields.tsx';
import { vinsIn, type ConditionsDraft, type RuleDraft } from './rule-draft.ts';

interface ConditionProps {
  readonly draft: RuleDraft;
  /** The fault that names the item of a list. */
  readonly fault: Fault | null;
  /** Gives what is wrong at the path of a field. */
  readonly wrongAt: (path: string) => string | null;
  readonly onConditions: (conditions: ConditionsDraft) => void;
}

function TargetFields({ draft: { conditions }, wrongAt, onConditions }: ConditionProps) {
  const { words } = useWords();
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
      <TextField
        label={words.forms.version}
        hint={words.forms.versionHint}
        wrong={wrongAt('conditions.sw_version')}
        isCode
        value={conditions.version}
        onType={(version) => onConditions({ ...conditions, version })}
      />
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
  const { draft, wrongAt, onConditions } = props;
  const { conditions } = draft;
  const { words } = useWords();
  return (
    <>
      <TextField
        label={words.forms.percentage}
        hint={words.forms.percentageHint}
        wrong={wrongAt('conditions.rollout_percentage')}
        inputMode="decimal"
        value={conditions.percentage}
        onType={(percentage) => onConditions({ ...conditions, percentage })}
      />
      <TargetFields {...props} />
      <TextField
        label={words.forms.salt}
        hint={words.forms.saltHint}
        wrong={wrongAt('conditions.salt')}
        isCode
        value={conditions.salt}
        onType={(salt) => onConditions({ ...conditions, salt })}
      />
      <CheckField
        label={words.forms.sticky}
        checked={conditions.sticky}
        onCheck={(sticky) => onConditions({ ...conditions, sticky })}
      />
    </>
  );
}

function WhitelistField({ draft: { conditions }, fault, wrongAt, onConditions }: ConditionProps) {
  const { words, formats } = useWords();
  const wrong = wrongAt('conditions.vins');
  const vins = vinsIn(conditions.vins);
  const faulty = vins[indexAt(fault, 'conditions.vins') ?? -1];
  return (
    <LongTextField
      label={words.forms.vins}
      hint={words.forms.vinsHint(formats.number(vins.length))}
      wrong={wrong !== null && faulty !== undefined ? `${words.forms.faultyVin(faulty)} ${wrong}` : wrong}
      isCode
      autocapitalize="characters"
      rows={6}
      value={conditions.vins}
      onType={(vins) => onConditions({ ...conditions, vins })}
    />
  );
}

function SwitchFields({ draft: { conditions }, wrongAt, onConditions }: ConditionProps) {
  const { words } = useWords();
  return (
    <>
      <CheckField
        label={words.forms.holds}
        checked={conditions.holds}
        onCheck={(holds) => onConditions({ ...conditions, holds })}
      />
      <ReasonField
        label={words.forms.killReason}
        hint={words.killReasonHint}
        wrong={wrongAt('conditions.reason')}
        value={conditions.why}
        onType={(why) => onConditions({ ...conditions, why })}
      />
    </>
  );
}

/** The fields of a rule's conditions, and the segment that narrows them. */
export function ConditionFields(props: ConditionProps) {
  const { draft, wrongAt, onConditions } = props;
  const { words } = useWords();
  const { data } = useQuery(AllSegmentsDocument, {});
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
  const { draft, wrongAt, onConditions } = props;
  switch (draft.type) {
    case 'PERCENTAGE_ROLLOUT':
      return <ShareFields {...props} />;
    case 'VEHICLE_TARGET':
      return <TargetFields {...props} />;
    case 'VEHICLE_WHITELIST':
      return <WhitelistField {...props} />;
    case 'USER_ATTRIBUTE':
      return <ComparisonsFields conditions={draft.conditions} wrongAt={wrongAt} onConditions={onConditions} />;
    case 'KILL_SWITCH':
      return <SwitchFields {...props} />;
  }
}
