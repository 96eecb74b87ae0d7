/** The reason why one vehicle gets its value of a flag: each rule, whether it matched, and by which condition. */
import { useQuery } from '../api/use-query.ts';
import { WhyThisValueDocument, type WhyThisValueQuery } from '../generated/operations.ts';
import { jsonText } from '../json.ts';
import { Badge, FaultNotice, Loading } from '../parts/parts.tsx';
import { ruleSentences } from '../flags/rules/rule-words.ts';
import { useWords } from '../words/language.ts';

type Explained = WhyThisValueQuery['explainEvaluation']['rules'][number];

function RuleItem({ explained: { rule, outcome, checks } }: { readonly explained: Explained }) {
  const spoken = useWords();
  const { words } = spoken;
  return (
    <li class={outcome === 'DECIDED' ? 'rule' : 'rule rule-off'}>
      <div class="rule-head">
        <h3>{words.ruleTypes[rule.type]}</h3>
        <Badge tone={outcome === 'DECIDED' ? 'accent' : 'faint'}>{words.ruleOutcomes[outcome]}</Badge>
      </div>
      <p>{ruleSentences(rule.type, rule.conditions, spoken).join(' ')}</p>
      {checks.length > 0 && (
        <ul class="checks">
          {checks.map(({ about, attribute, expected, actual, holds, segment }) => (
            <li key={`${about} ${attribute ?? ''} ${segment ?? ''}`}>
              {words.checkSubject(words.checkSubjects[about], attribute)}: {holds ? words.holds : words.holdsNot}{' '}
              <span class="quiet">
                {words.checkValues(jsonText(expected), actual === null ? words.nothing : jsonText(actual))}
                {segment !== null && ` · ${words.segment.from(segment)}`}
              </span>
            </li>
          ))}
        </ul>
      )}
    </li>
  );
}

/** Shows why a vehicle gets its value of a flag. It is read again when the flag changes. */
export function Explanation({ flagKey, vin }: { readonly flagKey: string; readonly vin: string }) {
  const { words } = useWords();
  const { data, fault, refresh } = useQuery(
    WhyThisValueDocument,
    { key: flagKey, vin },
    { concerns: (news) => news.about === 'flag' && news.key === flagKey },
  );
  if (fault !== null) return <FaultNotice fault={fault} retry={refresh} />;
  if (data === null) return <Loading />;
  const { evaluation, facts, rules } = data.explainEvaluation;
  return (
    <div class="explanation">
      {facts.model === null && <p class="notice">{words.forms.isNotRegistered}</p>}
      {!evaluation.inScope && <p class="notice">{words.forms.isOutOfScope}</p>}
      <p>
        {words.forms.gets} <code>{jsonText(evaluation.value)}</code> <span class="quiet">{evaluation.variant}</span>{' '}
        {words.reasons[evaluation.reason]}{' '}
        {evaluation.failedPrerequisite !== null && <code>{evaluation.failedPrerequisite}</code>}
      </p>
      <ol class="rules">
        {rules.map((explained) => (
          <RuleItem key={explained.rule.id} explained={explained} />
        ))}
      </ol>
    </div>
  );
}
