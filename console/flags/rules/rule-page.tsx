/** The form of a rule, new or changed: checked and previewed by the control plane before it is saved. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { FieldFaults } from '../../api/fault-fields.ts';
import { useChange } from '../../api/use-query.ts';
import { useChangeAudience } from '../../changes/change-audience.tsx';
import { ChangeOutcome, type Outcome } from '../../changes/change-outcome.tsx';
import { ConflictNotice } from '../../changes/conflict-notice.tsx';
import { contentOf, type Flag } from '../../changes/flag-content.ts';
import { FlagChangePage, outcomeOf, publishChange, useBase } from '../form/edited-flag.tsx';
import {
  CreateRuleDocument,
  UpdateRuleDocument,
  type ChangedFragment,
  type ProposedChangeInput,
  type RuleInput,
} from '../../generated/operations.ts';
import { isSameJson } from '../../json.ts';
import type { TargetedSubmitEvent } from '../../navigation/events.ts';
import { flagPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { CheckField } from '../../parts/check-field.tsx';
import { keptForms, useKeptForm } from '../../parts/kept-forms.ts';
import { Select } from '../../parts/select.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { useWrongAt } from '../../parts/wrong-at.ts';
import { useWords } from '../../words/language.ts';
import { ConditionFields } from './condition-fields.tsx';
import {
  changedMembers,
  ruleDraftOf,
  hasUnknownMembers,
  ruleInputOf,
  inputOfRule,
  isHolding,
  mergedRule,
  newRuleDraft,
  type RuleDraft,
  type StoredRule,
} from './rule-draft.ts';
import { RulePreview } from './rule-preview.tsx';
import { ServedFields } from './served-fields.tsx';

const TYPES = ['PERCENTAGE_ROLLOUT', 'VEHICLE_TARGET', 'VEHICLE_WHITELIST', 'USER_ATTRIBUTE', 'KILL_SWITCH'] as const;

/** A rule's form that was left: what was typed, and the flag as the form began with it. */
const leftForms = keptForms<{ readonly draft: RuleDraft; readonly base: Flag }>();

interface RuleFormProps {
  readonly flag: Flag;
  /** The id of the rule that is changed; null: a new one. */
  readonly ruleId: string | null;
}

/** Gives the change that a form makes, or null. */
function proposedChange(stored: StoredRule | undefined, asked: RuleInput | null): ProposedChangeInput | null {
  if (asked === null) return null;
  if (stored === undefined) return { createRule: asked };
  return { updateRule: { id: stored.id, input: changedMembers(inputOfRule(stored), asked) } };
}

const ruleIn = (flag: Flag, id: string | null): StoredRule | undefined => flag.rules.find((rule) => rule.id === id);

/** Keeps the form of a rule, has it previewed, and makes the change. */
function useRuleForm({ flag: now, ruleId }: RuleFormProps) {
  const form = useRef<HTMLFormElement>(null);
  const kept = useKeptForm(leftForms, `${now.key} ${ruleId ?? 'new'}`);
  const began = kept.left?.base ?? now;
  const draftIn = (flag: Flag) => {
    const rule = ruleIn(flag, ruleId);
    return rule === undefined ? newRuleDraft('PERCENTAGE_ROLLOUT', flag.rules) : ruleDraftOf(rule, flag.type);
  };
  const [draft, setDraft] = useState(() => kept.left?.draft ?? draftIn(now));
  const [wasThere] = useState(() => ruleId === null || ruleIn(began, ruleId) !== undefined);
  const [faults, setFaults] = useState<FieldFaults>({});
  /** The rule that the preview shows; null after each change of the form. */
  const [asked, setAsked] = useState<RuleInput | null>(null);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const done = (payload: ChangedFragment) => {
    setOutcome(outcomeOf(payload, revision));
    publishChange(payload);
  };
  const [create, creating] = useChange(CreateRuleDocument, ({ createRule }) => done(createRule));
  const [update, updating] = useChange(UpdateRuleDocument, ({ updateRule }) => done(updateRule));
  const fault = creating.fault ?? updating.fault;
  const { base, revision, hasChanged, adopt } = useBase(now, fault, began);
  useLayoutEffect(() => kept.keep({ draft, base }, outcome === null && !isSameJson(draft, draftIn(base))));
  const stored = ruleIn(base, ruleId);
  const proposed = proposedChange(stored, asked);
  const preview = useChangeAudience(proposed === null ? null : { flagKey: now.key, change: proposed });
  // A preview counts once it is of the present form: the answer to an earlier one says nothing about it.
  const isAnswered = asked !== null && !preview.loading;
  const previewFault = isAnswered ? preview.fault : null;
  const refusal = previewFault ?? fault;
  const wrongAt = useWrongAt(faults, refusal);
  const focusFaulty = () => form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  const isRefused = refusal !== null && refusal.field !== null;
  useEffect(() => {
    // The field that the control plane names; while nothing is named, what the preview shows.
    if (isRefused) focusFaulty();
  }, [isRefused, refusal]);
  const choose = (next: RuleDraft) => {
    setDraft(next);
    setFaults({});
    setAsked(null);
    creating.forget();
    updating.forget();
  };
  const holds = isHolding(draft);
  const releases = stored !== undefined && isHolding(ruleDraftOf(stored, now.type)) && !holds;
  return {
    ...{ form, draft, choose, wrongAt, refusal, wasThere, outcome, stored, base, hasChanged },
    isRestored: kept.left !== undefined,
    discard: kept.discard,
    check: (event: TargetedSubmitEvent) => {
      event.preventDefault();
      const { input, faults: found } = ruleInputOf(draft, now.type);
      setFaults(found ?? {});
      setAsked(input);
      if (input === null) requestAnimationFrame(focusFaulty);
      else if (asked !== null) preview.refresh();
    },
    applyAgain: () => {
      const [was, is] = [ruleIn(base, ruleId), ruleIn(now, ruleId)];
      if (was !== undefined && is !== undefined)
        choose(mergedRule(ruleDraftOf(was, base.type), draft, ruleDraftOf(is, now.type)));
      else choose(draft);
      adopt();
    },
    preview: {
      ...{ asked, isAnswered, previewFault, fault },
      audience: isAnswered && previewFault === null ? preview.audience : undefined,
      effects: { holds, releases, waits: now.safetyLevel === 'ASIL_D' && !holds },
      isBlocked: creating.sending || updating.sending || hasChanged,
      save: (reason: string, mayDisturb: boolean) => {
        if (asked === null) return;
        const common = { expectedRevision: revision, force: mayDisturb };
        if (stored === undefined) return create({ flagKey: now.key, input: asked, ...common });
        const input = changedMembers(inputOfRule(stored), asked);
        update({ id: stored.id, input, ...(releases && { reason }), ...common });
      },
    },
  };
}

type RuleFormState = ReturnType<typeof useRuleForm>;

/** The fields of a rule, and the button that has it previewed. */
function RuleFields({ flag, ruleId, state }: RuleFormProps & { readonly state: RuleFormState }) {
  const { words, formats } = useWords();
  const { form, draft, choose, wrongAt, refusal, check, discard, preview } = state;
  const priorities = flag.rules.filter(({ id }) => id !== ruleId).map(({ priority }) => formats.number(priority));
  return (
    <form ref={form} class="form panel" onSubmit={check} noValidate>
      {ruleId === null ? (
        <Select
          label={words.forms.ruleType}
          value={draft.type}
          options={TYPES.map((type) => [type, words.ruleTypes[type]])}
          onChoose={(type) => choose({ ...draft, type: type ?? draft.type })}
        />
      ) : (
        <h2>{words.ruleTypes[draft.type]}</h2>
      )}
      <ConditionFields
        draft={draft}
        fault={refusal}
        wrongAt={wrongAt}
        onConditions={(conditions) => choose({ ...draft, conditions })}
      />
      {draft.type !== 'KILL_SWITCH' && <ServedFields draft={draft} flag={flag} wrongAt={wrongAt} onDraft={choose} />}
      <TextField
        label={words.forms.priority}
        hint={words.forms.priorityHint(priorities.join(', '))}
        wrong={wrongAt('priority')}
        inputMode="numeric"
        value={draft.priority}
        onType={(priority) => choose({ ...draft, priority })}
      />
      <CheckField
        label={words.forms.isOn}
        checked={draft.enabled}
        onCheck={(enabled) => choose({ ...draft, enabled })}
      />
      <p class="quiet">{words.forms.loseLead}</p>
      <div class="buttons">
        <button type="submit" class={preview.asked === null ? 'button button-main' : 'button'}>
          {words.forms.preview}
        </button>
        <Link to={flagPath(flag.key)} class="button" onOpen={discard}>
          {words.forms.discard}
        </Link>
      </div>
    </form>
  );
}

function RuleForm(props: RuleFormProps) {
  const { flag: now, ruleId } = props;
  const { words } = useWords();
  const state = useRuleForm(props);
  const { outcome, wasThere, stored, base, hasChanged, applyAgain, isRestored, preview } = state;
  if (outcome !== null) return <ChangeOutcome outcome={outcome} flagKey={now.key} />;
  if (!wasThere) return <p class="notice">{words.forms.noSuchRule}</p>;
  const isGone = ruleId !== null && ruleIn(now, ruleId) === undefined;
  return (
    <>
      {isGone && <p class="notice">{words.forms.ruleGone}</p>}
      {hasChanged && <ConflictNotice base={contentOf(base)} now={contentOf(now)} apply={applyAgain} />}
      {stored !== undefined && hasUnknownMembers(stored) && <p class="notice">{words.forms.unknownMembers}</p>}
      {isRestored && <p class="notice">{words.forms.restored}</p>}
      <RuleFields {...props} state={state} />
      <RulePreview flag={now} {...preview} />
    </>
  );
}

/** The page of a rule's form. @param ruleId null for a new rule */
export function RulePage({ flagKey, ruleId }: { readonly flagKey: string; readonly ruleId: string | null }) {
  const { words } = useWords();
  return (
    <FlagChangePage flagKey={flagKey} title={ruleId === null ? words.forms.newRule : words.forms.changeRule}>
      {(flag) => <RuleForm flag={flag} ruleId={ruleId} />}
    </FlagChangePage>
  );
}
