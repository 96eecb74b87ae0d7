/** A flag's rules in the order in which they are tried, in words, and what is left when none matches. */
import { fixedState, type Flag } from '../../changes/flag-content.ts';
import { jsonText } from '../../json.ts';
import { flagPath, rolloutPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { Offer } from '../../parts/offer.tsx';
import { Badge, Time } from '../../parts/parts.tsx';
import { pauseReason } from '../../rollouts/pause-reason.ts';
import { mayNot, sessionState } from '../../session/session.ts';
import { useStore } from '../../store.ts';
import { useWords } from '../../words/language.ts';
import { RuleActions } from './rule-actions.tsx';
import { ruleSentences, servedValue } from './rule-words.ts';

function RuleItem({ rule, flag }: { readonly rule: Flag['rules'][number]; readonly flag: Flag }) {
  const spoken = useWords();
  const { words, formats } = spoken;
  const served = servedValue(rule, flag.type, spoken);
  const { rollout } = rule;
  return (
    <li class={rule.enabled ? 'rule' : 'rule rule-off'}>
      <div class="rule-head">
        <h3>{words.ruleTypes[rule.type]}</h3>
        {!rule.enabled && <Badge tone="faint">{words.switchedOff}</Badge>}
        {rule.type === 'PERCENTAGE_ROLLOUT' && <Link to={rolloutPath(flag.key, rule.id)}>{words.rollouts.ofRule}</Link>}
        <span class="quiet">{words.priorityOf(formats.number(rule.priority))}</span>
      </div>
      {ruleSentences(rule.type, rule.conditions, spoken).map((sentence) => (
        <p key={sentence}>{sentence}</p>
      ))}
      {served !== null && (
        <p class="rule-served">
          {words.gives} <code>{served}</code>
        </p>
      )}
      {rollout !== null && rollout !== undefined && (
        <p class="quiet">
          {words.rolloutStatus[rollout.status]} · {formats.percent(rollout.currentPercentage)}
          {rollout.nextStepAt !== null && rollout.nextStepAt !== undefined && (
            <>
              {' · '}
              {words.nextStep} <Time at={rollout.nextStepAt} />
            </>
          )}
          {rollout.pausedReason !== null && rollout.pausedReason !== undefined && (
            <> · {pauseReason(rollout.pausedReason, spoken)}</>
          )}
        </p>
      )}
      <RuleActions
        rule={rule}
        flag={flag}
        name={words.ruleOf(words.ruleTypes[rule.type], formats.number(rule.priority))}
      />
    </li>
  );
}

/** Shows the rules of a flag, each with its acts, and the way to a new one. */
export function RuleList({ flag }: { readonly flag: Flag }) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const fixed = fixedState(flag);
  const refused = mayNot(session, 'change', words) ?? (fixed === null ? null : words.forms[fixed]);
  return (
    <section class="panel" aria-labelledby="rules-title">
      <h2 id="rules-title">{words.rulesTitle}</h2>
      <p class="quiet">{flag.rules.length === 0 ? words.noRules : words.rulesLead}</p>
      <ol class="rules">
        {flag.rules.map((rule) => (
          <RuleItem key={rule.id} rule={rule} flag={flag} />
        ))}
        <li class="rule rule-last">
          <p>
            {words.otherwise} <code>{jsonText(flag.defaultValue)}</code>
          </p>
        </li>
      </ol>
      <div class="buttons">
        <Offer why={refused} to={flagPath(flag.key, '/new-rule')}>
          {words.forms.addRule}
        </Offer>
      </div>
    </section>
  );
}
