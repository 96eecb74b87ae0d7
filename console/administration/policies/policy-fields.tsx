/** The fields of a release policy. */
import { useQuery } from '../../api/use-query.ts';
import { SAFETY_LEVELS } from '../../flags/flag-filter.ts';
import { FleetNamesDocument } from '../../generated/operations.ts';
import { CheckList } from '../../parts/check-list.tsx';
import { ListField } from '../../parts/list-field.tsx';
import { LongTextField } from '../../parts/long-text-field.tsx';
import { Select } from '../../parts/select.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { PolicyGuardFields } from './policy-guard-fields.tsx';
import { SOAK_UNIT_NAMES, newPolicyStage, type TypedPolicy, type TypedStage } from './policy-draft.ts';

interface StageFieldsProps {
  readonly stage: TypedStage;
  /** Counts from 0. */
  readonly index: number;
  readonly wrongAt: (path: string) => string | null;
  readonly change: (stage: TypedStage) => void;
  readonly remove: () => void;
}

function StageFields({ stage, index, wrongAt, change, remove }: StageFieldsProps) {
  const { own, formats } = useAdministrationWords();
  const position = formats.number(index + 1);
  const at = `stages.${index}`;
  return (
    <fieldset class="fieldset">
      <legend>{own.stageOf(position)}</legend>
      <div class="field-row">
        <TextField
          label={own.stagePercentage}
          wrong={wrongAt(`${at}.percentage`)}
          value={stage.percentage}
          onType={(percentage) => change({ ...stage, percentage })}
        />
        <TextField
          label={own.stageSoak}
          wrong={wrongAt(`${at}.soak`)}
          value={stage.soak}
          onType={(soak) => change({ ...stage, soak })}
        />
        <Select
          label={own.stageUnit}
          value={stage.unit}
          options={SOAK_UNIT_NAMES.map((unit) => [unit, own.soakUnits[unit]])}
          onChoose={(unit) => change({ ...stage, unit: unit ?? stage.unit })}
        />
        <TextField
          label={own.stageVehicles}
          wrong={wrongAt(`${at}.minimumVehicles`)}
          value={stage.vehicles}
          onType={(vehicles) => change({ ...stage, vehicles })}
        />
      </div>
      <button type="button" class="button button-plain" onClick={remove}>
        {own.removeStage(position)}
      </button>
    </fieldset>
  );
}

interface PolicyFieldsProps {
  readonly draft: TypedPolicy;
  readonly wrongAt: (path: string) => string | null;
  readonly onDraft: (draft: TypedPolicy) => void;
}

/** Shows the fields of a draft. `onDraft` gets the draft as it is after each input. */
export function PolicyFields({ draft, wrongAt, onDraft }: PolicyFieldsProps) {
  const { words, own } = useAdministrationWords();
  const { data } = useQuery(FleetNamesDocument, {});
  const names = (counts: readonly { readonly key: string }[] | undefined) => (counts ?? []).map(({ key }) => key);
  const { stages } = draft;
  const withStages = (next: readonly TypedStage[]) => onDraft({ ...draft, stages: next });
  const nextId = Math.max(-1, ...stages.map(({ id }) => id)) + 1;
  return (
    <>
      <p class="quiet">{own.stagesHint}</p>
      {stages.map((stage, index) => (
        <StageFields
          key={stage.id}
          stage={stage}
          index={index}
          wrongAt={wrongAt}
          change={(next) => withStages(stages.map((one) => (one.id === next.id ? next : one)))}
          remove={() => withStages(stages.filter(({ id }) => id !== stage.id))}
        />
      ))}
      <div class="buttons">
        <button type="button" class="button" onClick={() => withStages([...stages, newPolicyStage(nextId)])}>
          {own.addStage}
        </button>
      </div>
      <p class="quiet">{own.canaryHint}</p>
      <ListField
        label={own.canaryModels}
        wrong={wrongAt('canary.models')}
        items={draft.models}
        known={names(data?.fleet.byModel)}
        onItems={(models) => onDraft({ ...draft, models })}
      />
      <ListField
        label={own.canaryRegions}
        wrong={wrongAt('canary.regions')}
        items={draft.regions}
        known={names(data?.fleet.byRegion)}
        onItems={(regions) => onDraft({ ...draft, regions })}
      />
      <LongTextField
        label={own.canaryVins}
        wrong={wrongAt('canary.vins')}
        isCode
        autocapitalize="characters"
        rows={3}
        value={draft.vins}
        onType={(vins) => onDraft({ ...draft, vins })}
      />
      <CheckList
        label={words.fields.safetyLevels}
        hint={own.levelsHint}
        options={SAFETY_LEVELS.map((level) => [level, words.levels[level]])}
        chosen={new Set(draft.levels)}
        onChoose={(chosen) => onDraft({ ...draft, levels: SAFETY_LEVELS.filter((level) => chosen.has(level)) })}
        none=""
      />
      <TextField
        label={words.fields.maximumFaultyVehicles}
        wrong={wrongAt('maximumFaultyVehicles')}
        value={draft.faultyVehicles}
        onType={(faultyVehicles) => onDraft({ ...draft, faultyVehicles })}
      />
      <TextField
        label={words.fields.maximumFaultyPercent}
        wrong={wrongAt('maximumFaultyPercent')}
        value={draft.faultyPercent}
        onType={(faultyPercent) => onDraft({ ...draft, faultyPercent })}
      />
      <PolicyGuardFields guards={draft.guards} wrongAt={wrongAt} onGuards={(guards) => onDraft({ ...draft, guards })} />
    </>
  );
}
