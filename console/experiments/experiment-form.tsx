/** The form of an experiment's plan: a new draft, or one that is changed. */
import { useId, useState } from 'preact/hooks';
import { useChange, useQuery } from '../api/use-query.ts';
import { useAuditNews } from '../api/audit-news.ts';
import type { Fault } from '../api/fault.ts';
import { EditedNotices, useEditedForm, useNewForm, type FormFields } from '../changes/edited-form.tsx';
import type { Edited } from '../changes/edited-state.ts';
import {
  CreateExperimentDocument,
  OneExperimentDocument,
  UpdateExperimentDocument,
  type ExperimentPlanFragment,
} from '../generated/operations.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { experimentPath } from '../navigation/paths.ts';
import { Link, goTo, usePlace } from '../navigation/router.tsx';
import { useFlagSuggestions } from '../flags/flag-suggestions.ts';
import { keptForms } from '../parts/kept-forms.ts';
import { LongTextField } from '../parts/long-text-field.tsx';
import { FaultNotice, Loading, Page } from '../parts/parts.tsx';
import { Suggestions } from '../parts/suggestions.tsx';
import { TextField } from '../parts/text-field.tsx';
import { useMetricChoice } from '../rollouts/guard-fields.tsx';
import { may, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';
import {
  experimentContentOf,
  experimentDraftOf,
  experimentInputOf,
  newExperimentDraft,
  wrongMembers,
  type ExperimentDraft,
} from './draft.ts';
import { GuardrailRows, SecondaryRows } from './metric-rows.tsx';
import { SampleSize } from './sample-size.tsx';

interface FormProps {
  readonly edited: FormFields<ExperimentDraft>;
  /** Whether the flag is chosen already. */
  readonly isFlagFixed: boolean;
  readonly sending: boolean;
  readonly fault: Fault | null;
  readonly send: (draft: ExperimentDraft) => void;
  readonly back: string;
  /** Whether the experiment is no longer a draft. */
  readonly isFixed?: boolean;
}

function ExperimentForm({ edited, isFlagFixed, sending, fault, send, back, isFixed = false }: FormProps) {
  const { words, formats } = useWords();
  const texts = words.experiments;
  const { draft } = edited;
  const [tried, setTried] = useState(false);
  const list = useId();
  const flagList = useId();
  const flags = useFlagSuggestions(draft.flagKey, null);
  const { names } = useMetricChoice(draft.flagKey.trim() === '' ? null : draft.flagKey.trim());
  const found = wrongMembers(draft);
  const wrongAt = (path: string) => {
    const own = tried ? found[`input.${path}`] : undefined;
    if (own !== undefined) return texts.wrong[own];
    return fault?.field === `input.${path}` ? fault.message : null;
  };
  const set = (change: Partial<ExperimentDraft>) => edited.choose({ ...draft, ...change });
  const zone = words.rollouts.zone(formats.offset(new Date()));
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    setTried(true);
    if (Object.keys(found).length === 0) send(draft);
    else {
      const form = event.currentTarget;
      // The faulty fields are marked with the next frame. Then the first one gets the focus.
      requestAnimationFrame(() => form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
    }
  };
  return (
    <form class="form form-wide" onSubmit={submit} noValidate>
      <EditedNotices form={edited} title={texts.changedMeanwhile} />
      {isFixed && <p class="notice">{texts.noDraft}</p>}
      {!isFlagFixed && (
        <>
          <TextField
            isCode
            label={texts.flagKey}
            value={draft.flagKey}
            list={flagList}
            wrong={wrongAt('flagKey')}
            onType={(flagKey) => set({ flagKey })}
          />
          <Suggestions id={flagList} known={flags} />
        </>
      )}
      <TextField
        isCode
        label={texts.name}
        value={draft.name}
        wrong={wrongAt('name')}
        onType={(name) => set({ name })}
      />
      <LongTextField
        label={texts.description}
        wrong={wrongAt('description')}
        rows={2}
        value={draft.description}
        onType={(description) => set({ description })}
      />
      <div class="field-row">
        <TextField
          isCode
          label={texts.primaryMetric}
          value={draft.primaryMetric}
          list={list}
          wrong={wrongAt('primaryMetric')}
          onType={(primaryMetric) => set({ primaryMetric })}
        />
        <TextField
          isCode
          label={texts.confidence}
          value={draft.confidence}
          wrong={wrongAt('confidenceLevel')}
          onType={(confidence) => set({ confidence })}
        />
        <TextField
          label={texts.startDate}
          hint={zone}
          wrong={wrongAt('startDate')}
          type="datetime-local"
          value={draft.startDate}
          onType={(startDate) => set({ startDate })}
        />
        <TextField
          label={texts.endDate}
          hint={texts.endHint}
          wrong={wrongAt('endDate')}
          type="datetime-local"
          value={draft.endDate}
          onType={(endDate) => set({ endDate })}
        />
        <TextField
          label={texts.sampleSize}
          hint={texts.sampleHint}
          wrong={wrongAt('sampleSize')}
          inputMode="numeric"
          value={draft.sampleSize}
          onType={(sampleSize) => set({ sampleSize })}
        />
      </div>
      <SampleSize confidence={draft.confidence} use={(vehicles) => set({ sampleSize: String(vehicles) })} />
      <SecondaryRows
        rows={draft.secondaryMetrics}
        change={(secondaryMetrics) => set({ secondaryMetrics })}
        list={list}
        wrongAt={(path) => wrongAt(`secondaryMetrics.${path}`)}
      />
      <GuardrailRows
        rows={draft.guardrails}
        change={(guardrails) => set({ guardrails })}
        list={list}
        wrongAt={(path) => wrongAt(`guardrails.${path}`)}
      />
      <Suggestions id={list} known={names.map((key) => ({ key }))} />
      {fault !== null && <FaultNotice fault={fault} />}
      <div class="buttons">
        <button type="submit" class="button button-main" disabled={sending || isFixed || edited.hasChanged}>
          {texts.save}
        </button>
        <Link to={back} class="button" onOpen={edited.discard}>
          {words.cancel}
        </Link>
      </div>
    </form>
  );
}

/** The forms of new experiments that were left. */
const leftNewForms = keptForms<Edited<null, ExperimentDraft>>();

/** A new draft; the flag may stand in the address. */
export function NewExperimentPage() {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const { query } = usePlace();
  const flagKey = new URLSearchParams(query).get('flag') ?? '';
  const [create, change] = useChange(CreateExperimentDocument, ({ createExperiment }) => {
    edited.discard();
    goTo(experimentPath(createExperiment.id));
  });
  const edited = useNewForm({
    ...{ leftForms: leftNewForms, about: flagKey, change },
    fresh: () => newExperimentDraft(flagKey, new Date()),
  });
  return (
    <Page title={words.experiments.plan}>
      {!may(session, 'change') && <p class="notice">{words.experiments.mayNot}</p>}
      {flagKey !== '' && (
        <p class="flag-sub">
          <code>{flagKey}</code>
        </p>
      )}
      {may(session, 'change') && (
        <ExperimentForm
          edited={edited}
          isFlagFixed={flagKey !== ''}
          sending={change.sending}
          fault={change.fault}
          send={(draft) => create({ input: { flagKey: draft.flagKey.trim(), ...experimentInputOf(draft) } })}
          back="/experiments"
        />
      )}
    </Page>
  );
}

/** The forms of experiments that were left. */
const leftForms = keptForms<Edited<ExperimentPlanFragment, ExperimentDraft>>();

interface PlanFormProps {
  readonly experiment: ExperimentPlanFragment;
  readonly refresh: () => void;
}

function ChangedPlan({ experiment, refresh }: PlanFormProps) {
  const spoken = useWords();
  const { id, status } = experiment;
  const [update, change] = useChange(UpdateExperimentDocument, () => {
    edited.discard();
    goTo(experimentPath(id));
  });
  const edited = useEditedForm<ExperimentPlanFragment, ExperimentDraft>({
    ...{ leftForms, about: id, now: experiment, draftOf: experimentDraftOf, change, refresh },
    contentOf: (plan) => experimentContentOf(plan, spoken),
    fresh: () => experimentDraftOf(experiment),
  });
  return (
    <ExperimentForm
      edited={edited}
      isFlagFixed
      isFixed={status !== 'DRAFT'}
      sending={change.sending}
      fault={change.fault}
      send={(draft) =>
        update({ id, input: experimentInputOf(draft), expectedUpdatedAt: (edited.seen ?? experiment).updatedAt })
      }
      back={experimentPath(id)}
    />
  );
}

/** The plan of a draft, to be changed. */
export function EditExperimentPage({ id }: { readonly id: string }) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const { data, fault, refresh } = useQuery(OneExperimentDocument, { id });
  useAuditNews((action) => action.endsWith('_EXPERIMENT') && refresh());
  const experiment = data?.experiment ?? null;
  return (
    <Page title={words.experiments.edit} about={experiment?.name}>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null && experiment === null && <p class="empty">{words.experiments.noSuch}</p>}
      {!may(session, 'change') && <p class="notice">{words.experiments.mayNot}</p>}
      {experiment !== null && may(session, 'change') && <ChangedPlan experiment={experiment} refresh={refresh} />}
    </Page>
  );
}
