/** The vehicles that a kill switch affects, before it is pulled: those of the environment, by what they get now. */
import { useQuery } from '../../api/use-query.ts';
import { FlagAudience } from '../audience-table.tsx';
import { ProgressDocument, type FlagToStopQuery } from '../../generated/operations.ts';
import { jsonText } from '../../json.ts';
import { FaultNotice, Loading } from '../../parts/parts.tsx';
import { useWords } from '../../words/language.ts';

type Flag = NonNullable<FlagToStopQuery['flag']>;

/** Shows how many vehicles a kill switch of the flag would affect, and the values that they have now. */
export function KillAudience({ flag }: { readonly flag: Flag }) {
  const { words, formats } = useWords();
  const { data, fault, refresh } = useQuery(ProgressDocument, { environment: flag.environment, flag: flag.key });
  const rules = flag.rules.filter(({ enabled, type }) => enabled && type !== 'KILL_SWITCH');
  const total = data?.rolloutProgress.total ?? null;
  return (
    <section class="panel" aria-labelledby="audience-title">
      <h2 id="audience-title">{words.killEffect}</h2>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {total === null && fault === null && <Loading />}
      {total !== null && (
        <p class="lead">
          {words.killReaches(total, formats.number(total), words.environments[flag.environment])}{' '}
          {flag.release == null ? <code>{jsonText(flag.defaultValue)}</code> : words.stableDefault}
        </p>
      )}
      {flag.killActivation === 'PARKED' && <p class="notice">{words.killWhenParked}</p>}
      <p class="quiet">{words.killOffline}</p>
      {!flag.enabled ? (
        <p>{words.killDisabledFlag}</p>
      ) : rules.length === 0 && flag.release == null ? (
        <p>{words.killNoRules}</p>
      ) : (
        <>
          <h3>{words.whoHasWhat}</h3>
          <FlagAudience flagKey={flag.key} hasAttributes={rules.some(({ type }) => type === 'USER_ATTRIBUTE')} />
        </>
      )}
    </section>
  );
}
