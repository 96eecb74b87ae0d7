/** The values that a flag's rules give once no kill switch holds it, in few lines. */
import type { FlagToStopQuery } from '../../generated/operations.ts';
import { jsonText } from '../../json.ts';
import { useWords } from '../../words/language.ts';
import { ruleSentences, servedValue } from './rule-words.ts';

type Flag = NonNullable<FlagToStopQuery['flag']>;

/** Shows the enabled rules of a flag in order, without its kill switches. */
export function RuleSummary({ flag }: { readonly flag: Flag }) {
  const spoken = useWords();
  const { words } = spoken;
  const rules = flag.rules.filter(({ enabled, type }) => enabled && type !== 'KILL_SWITCH');
  return (
    <section class="panel" aria-labelledby="summary-title">
      <h2 id="summary-title">{words.releaseEffect}</h2>
      {!flag.enabled && <p>{words.releaseDisabledFlag}</p>}
      <ol class="rules">
        {flag.enabled &&
          rules.map((rule) => (
            <li key={rule.id} class="rule">
              {ruleSentences(rule.type, rule.conditions, spoken).map((sentence) => (
                <p key={sentence}>{sentence}</p>
              ))}
              <p class="rule-served">
                {words.gives} <code>{servedValue(rule, flag.type, spoken)}</code>
              </p>
            </li>
          ))}
        <li class="rule rule-last">
          <p>
            {words.otherwise} <code>{jsonText(flag.defaultValue)}</code>
          </p>
        </li>
      </ol>
    </section>
  );
}
