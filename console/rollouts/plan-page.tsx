/** Scheduling a rollout: its steps, its guard, and a confirmation that says all of it in words. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { presentTime } from '../api/clock.ts';
import { publish } from '../api/live.ts';
import { useChange } from '../api/use-query.ts';
import { ScheduleRolloutDocument, type RolloutOfRuleQuery } from '../generated/operations.ts';
import { isSameJson, membersOf } from '../json.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { rolloutPath } from '../navigation/paths.ts';
import { Link, goTo } from '../navigation/router.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { ConflictNotice } from '../changes/conflict-notice.tsx';
import { keptForms, useKeptForm } from '../parts/kept-forms.ts';
import { FaultNotice, Loading, Page } from '../parts/parts.tsx';
import { ruleSentences } from '../flags/rules/rule-words.ts';
import { may, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';
import { GuardFields } from './guard-fields.tsx';
import { limitText } from './guard-panel.tsx';
import {
  NEW_GUARD,
  guardInput,
  leastOf,
  newStep,
  stepInputs,
  waitSeconds,
  wrongGuard,
  wrongSteps,
  type GuardDraft,
  type StepDraft,
  type WrongRollout,
} from './plan.ts';
import { obstacleToPlan, useRolloutOfRule } from './rollout-page.tsx';
import { StepFields } from './step-fields.tsx';

/** The steps that the control plane accepts. */
const MAX_STEPS = 50;

type Flag = NonNullable<RolloutOfRuleQuery['flag']>;
type Rule = Flag['rules'][number];

/** Says in words what is about to be scheduled. */
function Plan({ flag, steps, guard }: { flag: Flag; steps: readonly StepDraft[]; guard: GuardDraft | null }) {
  const spoken = useWords();
  const { words, formats } = spoken;
  const texts = words.rollouts;
  const inputs = stepInputs(steps);
  const input = guard === null ? null : guardInput(guard);
  return (
    <>
      <p>{texts.confirmLead(flag.name)}</p>
      <ol class="plan">
        {steps.map((step, index) => (
          <li key={step.id}>
            {texts.confirmStep(
              formats.percent(inputs[index]?.percentage ?? 0),
              step.when === 'after'
                ? texts[index === 0 ? 'whenAfterStart' : 'whenAfter'](formats.duration(waitSeconds(step)))
                : texts.whenAt(formats.time(new Date(step.date).toISOString())),
            )}
          </li>
        ))}
      </ol>
      <p>
        {input === null
          ? texts.confirmNoGuard
          : texts.confirmGuard(
              input.metric,
              limitText(
                { worse: input.worse, maxWorsePercent: input.maxWorsePercent ?? null, bound: input.bound ?? null },
                spoken,
              ),
            )}
      </p>
      {flag.safetyLevel === 'ASIL_D' && <p>{words.needsSecondPerson}</p>}
    </>
  );
}

interface PlanDraft {
  readonly steps: readonly StepDraft[];
  readonly guard: GuardDraft;
  readonly isGuarded: boolean;
}

/** A plan that was left before it was confirmed. */
const leftForms = keptForms<PlanDraft>();

/** The part of a rule that a plan is made for. */
const planned = ({ id, type, priority, enabled, conditions, value, variant }: Rule) => ({
  ...{ id, type, priority, enabled, conditions, variant },
  value: value ?? null,
});

interface PlanFormProps {
  readonly flag: Flag;
  readonly rule: Rule;
  /** Whether the plan cannot be scheduled now, as the page says above it. */
  readonly isHindered: boolean;
  readonly refresh: () => void;
}

function PlanForm({ flag, rule, isHindered, refresh }: PlanFormProps) {
  const { words, formats } = useWords();
  const texts = words.rollouts;
  const percentage = membersOf(rule.conditions)['rollout_percentage'];
  const present = typeof percentage === 'number' ? percentage : 0;
  const kept = useKeptForm(leftForms, `${flag.key} ${rule.id}`);
  const [begun] = useState<PlanDraft>(() => ({ steps: [newStep(1)], guard: NEW_GUARD, isGuarded: false }));
  const [steps, setSteps] = useState((kept.left ?? begun).steps);
  const [guard, setGuard] = useState((kept.left ?? begun).guard);
  const [isGuarded, setGuarded] = useState((kept.left ?? begun).isGuarded);
  const [base, setBase] = useState(rule);
  const hasChanged = !isSameJson(planned(base), planned(rule));
  useLayoutEffect(() => {
    const typed = { steps, guard, isGuarded };
    kept.keep(typed, !isSameJson(typed, begun));
  });
  const [tried, setTried] = useState(false);
  const [confirming, setConfirming] = useState(false);
  const [schedule, { sending, fault, forget }] = useChange(ScheduleRolloutDocument, ({ scheduleRollout }) => {
    publish({ about: 'flag', key: flag.key });
    if (!scheduleRollout.applied) publish({ about: 'request' });
    kept.discard();
    goTo(rolloutPath(flag.key, rule.id));
  });
  const found: WrongRollout = { ...wrongSteps(steps, present, presentTime()), ...(isGuarded && wrongGuard(guard)) };
  const wrongAt = (path: string, index = 0) => {
    const own = tried ? found[path] : undefined;
    if (own === 'percentage') return texts.wrong.percentage(formats.number(leastOf(steps, index, present)));
    if (own !== undefined) return texts.wrong[own];
    return fault?.field === path ? fault.message : null;
  };
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    setTried(true);
    forget();
    if (Object.keys(found).length === 0) setConfirming(true);
    else {
      const form = event.currentTarget;
      // The faulty fields are marked with the next frame. Then the first one gets the focus.
      requestAnimationFrame(() => form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
    }
  };
  const send = () => {
    schedule({
      key: flag.key,
      rule: rule.id,
      steps: stepInputs(steps),
      guard: isGuarded ? guardInput(guard) : null,
      expectedRevision: flag.revision,
    });
  };
  // A refusal is shown in the form, beside what it is about.
  const isRefused = fault !== null;
  return (
    <form class="form form-wide" onSubmit={submit} noValidate>
      {kept.left !== undefined && <p class="notice">{words.forms.restored}</p>}
      {hasChanged && (
        <ConflictNotice
          base={{ rules: [planned(base)] }}
          now={{ rules: [planned(rule)] }}
          apply={() => {
            setBase(rule);
            forget();
          }}
        />
      )}
      {steps.map((step, index) => (
        <StepFields
          key={step.id}
          step={step}
          index={index}
          change={(next) => setSteps(steps.map((one) => (one.id === step.id ? next : one)))}
          remove={steps.length === 1 ? undefined : () => setSteps(steps.filter(({ id }) => id !== step.id))}
          wrongAt={(member) => wrongAt(`steps.${index}.${member}`, index)}
        />
      ))}
      {steps.length < MAX_STEPS && (
        <button
          type="button"
          class="button"
          onClick={() => setSteps([...steps, newStep(Math.max(...steps.map(({ id }) => id)) + 1)])}
        >
          {texts.addStep}
        </button>
      )}
      <label class="check">
        <input type="checkbox" checked={isGuarded} onChange={(event) => setGuarded(event.currentTarget.checked)} />
        {texts.withGuard}
      </label>
      {isGuarded && (
        <GuardFields
          flagKey={flag.key}
          guard={guard}
          change={setGuard}
          wrongAt={(member) => wrongAt(`guard.${member}`)}
        />
      )}
      {isRefused && <FaultNotice fault={fault} {...(fault.code === 'CONFLICT' && { retry: refresh })} />}
      <div class="buttons">
        <button type="submit" class="button button-main" disabled={hasChanged || isHindered}>
          {texts.plan}
        </button>
        <Link to={rolloutPath(flag.key, rule.id)} class="button" onOpen={kept.discard}>
          {words.cancel}
        </Link>
      </div>
      {confirming && !isRefused && !hasChanged && !isHindered && (
        <Dialog title={texts.plan} onClose={() => setConfirming(false)}>
          <Plan flag={flag} steps={steps} guard={isGuarded ? guard : null} />
          <div class="buttons">
            <button type="button" class="button button-main" disabled={sending} onClick={send}>
              {texts.confirm}
            </button>
            <button type="button" class="button" onClick={() => setConfirming(false)}>
              {texts.keep}
            </button>
          </div>
        </Dialog>
      )}
    </form>
  );
}

/** Shows the page for one rule of a flag. */
export function PlanPage({ flagKey, ruleId }: { readonly flagKey: string; readonly ruleId: string }) {
  const spoken = useWords();
  const { words } = spoken;
  const { session } = useStore(sessionState);
  const { data, fault, refresh } = useRolloutOfRule(flagKey);
  const wasOffered = useRef(false);
  const flag = data?.flag ?? null;
  const rule = flag?.rules.find(({ id }) => id === ruleId);
  if (flag === null || rule === undefined)
    return (
      <Page title={words.rollouts.plan} about={flagKey}>
        {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
        {data === null && fault === null && <Loading />}
        {data !== null && <p class="empty">{flag === null ? words.noSuchFlag : words.rollouts.noSuchRule}</p>}
      </Page>
    );
  const obstacle = obstacleToPlan(flag, rule);
  const isOffered = obstacle === null && may(session, 'change');
  // Somebody else may begin a rollout while a plan is typed, which must not take the plan away.
  wasOffered.current ||= isOffered;
  return (
    <Page title={words.rollouts.plan} about={flag.name}>
      <p class="flag-sub">
        <Link to={rolloutPath(flagKey, ruleId)}>{flag.name}</Link> <code>{flagKey}</code>
      </p>
      <p>{ruleSentences(rule.type, rule.conditions, spoken).join(' ')}</p>
      <p class="quiet">{words.rollouts.planLead}</p>
      {obstacle !== null && <p class="notice">{words.rollouts.obstacles[obstacle]}</p>}
      {obstacle === null && !may(session, 'change') && <p class="notice">{words.rollouts.mayNotPlan}</p>}
      {wasOffered.current && <PlanForm flag={flag} rule={rule} isHindered={!isOffered} refresh={refresh} />}
    </Page>
  );
}
