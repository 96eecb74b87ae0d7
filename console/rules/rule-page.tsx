/** The form of a rule, new or changed: checked and previewed by the control plane before it is saved. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { FieldFaults } from '../api/fault-fields.ts';
import { useChange } from '../api/use-query.ts';
import { AudienceChangeTable } from '../changes/audience-change.tsx';
import { useChangeAudience } from '../changes/change-audience.tsx';
import { ChangeOutcome, type Outcome } from '../changes/change-outcome.tsx';
import { ConflictNotice } from '../changes/conflict-notice.tsx';
import { contentOf, type Flag } from '../changes/flag-content.ts';
import { FlagChangePage, outcomeOf, publishChange, useBase } from '../flags/form/edited-flag.tsx';
import {
  CreateRuleDocument,
  UpdateRuleDocument,
  type ChangedFragment,
  type ProposedChangeInput,
  type RuleInput,
} from '../generated/operations.ts';
import { isSameJson } from '../json.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { flagPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { CheckField } from '../parts/check-field.tsx';
import { keptForms, useKeptForm } from '../parts/kept-forms.ts';
import { FaultNotice, Loading } from '../parts/parts.tsx';
import { ReasonField } from '../parts/reason-field.tsx';
import { Select } from '../parts/select.tsx';
import { TextField } from '../parts/text-field.tsx';
import { useWrongAt } from '../parts/wrong-at.ts';
import { useWords } from '../words/language.ts';
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

function RuleForm({ flag: now, ruleId }: RuleFormProps) {
  const { words, formats } = useWords();
  const form = useRef<HTMLFormElement>(null);
  const kept = useKeptForm(leftForms, `${now.key} ${ruleId ?? 'new'}`);
  const began = kept.left?.base ?? now;
  const draftIn = (flag: Flag) => {
    const rule = ruleIn(flag, ruleId);
    return rule === undefined ? newRuleDraft('PERCENTAGE_ROLLOUT', flag.rules) : ruleDraftOf(rule, flag.type);
  };
  const [draft, setDraft] = useState(() => kept.left?.draft ?? draftIn(now));
  const [wasThere] = useState(() => ruleIn(began, ruleId) !== undefined);
  const [faults, setFaults] = useState<FieldFaults>({});
  /** The rule that the preview shows; null after each change of the form. */
  const [asked, setAsked] = useState<RuleInput | null>(null);
  const [reason, setReason] = useState('');
  const [force, setForce] = useState(false);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const done = (payload: ChangedFragment) => {
    setOutcome(outcomeOf(payload, revision));
    publishChange(payload);
  };
  const [create, creating] = useChange(CreateRuleDocument, ({ createRule }) => done(createRule));
  const [update, updating] = useChange(UpdateRuleDocument, ({ updateRule }) => done(updateRule));
  const fault = creating.fault ?? updating.fault;
  const sending = creating.sending || updating.sending;
  const { base, revision, hasChanged, adopt } = useBase(now, fault, began);
  useLayoutEffect(() => kept.keep({ draft, base }, outcome === null && !isSameJson(draft, draftIn(base))));
  const stored = ruleIn(base, ruleId);
  const proposed = proposedChange(stored, asked);
  const preview = useChangeAudience(proposed === null ? null : { flagKey: now.key, change: proposed });
  const shown = useRef<HTMLElement>(null);
  // A preview counts once it is of the present form: the answer to an earlier one says nothing about it.
  const isAnswered = asked !== null && !preview.loading;
  const previewFault = isAnswered ? preview.fault : null;
  const change = isAnswered && previewFault === null ? preview.audience : undefined;
  const refusal = previewFault ?? fault;
  const wrongAt = useWrongAt(faults, refusal);
  const isRefused = refusal !== null && refusal.field !== null;
  useEffect(() => {
    // The field that the control plane names; while nothing is named, what the preview shows.
    if (isRefused) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [isRefused, refusal]);
  useEffect(() => {
    if (asked !== null) shown.current?.focus();
  }, [asked]);

  if (outcome !== null) return <ChangeOutcome outcome={outcome} flagKey={now.key} />;
  if (ruleId !== null && !wasThere) return <p class="notice">{words.forms.noSuchRule}</p>;

  const choose = (next: RuleDraft) => {
    setDraft(next);
    setFaults({});
    setAsked(null);
    creating.forget();
    updating.forget();
  };
  const check = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    const { input, faults: found } = ruleInputOf(draft, now.type);
    setFaults(found ?? {});
    setAsked(input);
    if (input === null)
      requestAnimationFrame(() => form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
    else if (asked !== null) preview.refresh();
  };
  const isGone = ruleId !== null && ruleIn(now, ruleId) === undefined;
  const holds = isHolding(draft);
  const releases = stored !== undefined && isHolding(ruleDraftOf(stored, now.type)) && !holds;
  const waits = now.safetyLevel === 'ASIL_D' && !holds;
  const save = () => {
    if (asked === null) return;
    const common = { expectedRevision: revision, force };
    if (stored === undefined) create({ flagKey: now.key, input: asked, ...common });
    else
      update({
        id: stored.id,
        input: changedMembers(inputOfRule(stored), asked),
        ...(releases && { reason: reason.trim() }),
        ...common,
      });
  };
  const applyAgain = () => {
    const [was, is] = [ruleIn(base, ruleId), ruleIn(now, ruleId)];
    if (was !== undefined && is !== undefined)
      choose(mergedRule(ruleDraftOf(was, base.type), draft, ruleDraftOf(is, now.type)));
    else choose(draft);
    adopt();
  };
  const priorities = now.rules.filter(({ id }) => id !== ruleId).map(({ priority }) => formats.number(priority));
  // A fault of the rule has to be mended; a part of the control plane that is down must not stop a change.
  const isUnseen =
    previewFault !== null && !['BAD_USER_INPUT', 'LIMIT_EXCEEDED', 'CONFLICT'].includes(previewFault.code);
  return (
    <>
      {isGone && <p class="notice">{words.forms.ruleGone}</p>}
      {hasChanged && <ConflictNotice base={contentOf(base)} now={contentOf(now)} apply={applyAgain} />}
      {stored !== undefined && hasUnknownMembers(stored) && <p class="notice">{words.forms.unknownMembers}</p>}
      {kept.left !== undefined && <p class="notice">{words.forms.restored}</p>}
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
        {draft.type !== 'KILL_SWITCH' && <ServedFields draft={draft} flag={now} wrongAt={wrongAt} onDraft={choose} />}
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
          <button type="submit" class={asked === null ? 'button button-main' : 'button'}>
            {words.forms.preview}
          </button>
          <Link to={flagPath(now.key)} class="button" onOpen={kept.discard}>
            {words.forms.discard}
          </Link>
        </div>
      </form>
      {asked !== null && (
        <section ref={shown} class="panel" aria-labelledby="preview-title" tabIndex={-1}>
          <h2 id="preview-title">{words.forms.audience}</h2>
          {previewFault !== null && <FaultNotice fault={previewFault} />}
          {!isAnswered && <Loading />}
          {change !== undefined && <AudienceChangeTable change={change} />}
          {!now.enabled && <p class="notice">{words.forms.flagIsOff}</p>}
          {draft.type === 'USER_ATTRIBUTE' && <p class="quiet">{words.attributesUncounted}</p>}
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
          {(force || fault?.field === 'force') && (
            <CheckField
              label={words.forms.disturbs}
              hint={words.forms.disturbsHint}
              checked={force}
              onCheck={setForce}
            />
          )}
          {(isUnseen || change !== undefined) && (
            <div class="buttons">
              <button
                type="button"
                class={holds ? 'button button-danger' : 'button button-main'}
                disabled={sending || hasChanged || (releases && reason.trim() === '')}
                onClick={save}
              >
                {isUnseen ? words.forms.saveUnseen : waits ? words.forms.request : words.forms.save}
              </button>
            </div>
          )}
        </section>
      )}
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
