/** Releasing a kill switch: the rules decide again, after a reason and the flag's key typed. */
import { useState } from 'preact/hooks';
import { presentTime } from '../../api/clock.ts';
import { useChange, useQuery } from '../../api/use-query.ts';
import { publish } from '../../api/live.ts';
import { FlagToStopDocument, ReleaseKillSwitchDocument } from '../../generated/operations.ts';
import { flagPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { FaultNotice, Loading, Page } from '../../parts/parts.tsx';
import { RuleSummary } from '../rules/rule-summary.tsx';
import { may, sessionState } from '../../session/session.ts';
import { useStore } from '../../store.ts';
import { useWords } from '../../words/language.ts';
import { FleetWatch } from './fleet-watch.tsx';
import { FlagLine } from './flag-lines.tsx';
import { StopForm } from './stop-form.tsx';

/** The outcome of the release: it waits for a second person, or is on its way. */
type Outcome = { readonly waits: true } | { readonly waits: false; readonly revision: number; readonly since: number };

/** Shows the page for one flag: what its rules will give, the form, and the outcome. */
export function ReleasePage({ flagKey }: { readonly flagKey: string }) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const { data, fault, refresh } = useQuery(
    FlagToStopDocument,
    { key: flagKey },
    { concerns: (news) => news.about === 'flag' && news.key === flagKey },
  );
  const [sentAt, setSentAt] = useState(0);
  const [release, { sending, fault: refusal }] = useChange(ReleaseKillSwitchDocument, ({ releaseKillSwitch }) => {
    const { applied, flag } = releaseKillSwitch;
    setOutcome(applied ? { waits: false, revision: flag.revision, since: sentAt } : { waits: true });
    publish({ about: applied ? 'flag' : 'request', key: flagKey });
  });
  const flag = data?.flag ?? null;
  if (flag === null)
    return (
      <Page title={words.releaseKillSwitch} about={flagKey}>
        {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
        {data === null && fault === null && <Loading />}
        {data !== null && (
          <p class="empty">
            {words.noSuchFlag} <Link to="/flags">{words.toFlags}</Link>
          </p>
        )}
      </Page>
    );
  return (
    <Page title={words.releaseKillSwitch} about={flag.name}>
      <FlagLine name={flag.name} flagKey={flagKey} />
      {outcome !== null && outcome.waits && flag.killed && (
        <div class="notice" role="status">
          <p>
            <strong>{words.waitsTitle}</strong> {words.releaseWaits}
          </p>
          <Link to="/changes" class="button">
            {words.toWaitingChanges}
          </Link>
        </div>
      )}
      {outcome !== null && !outcome.waits && (
        <FleetWatch
          flagKey={flagKey}
          environment={flag.environment}
          revision={outcome.revision}
          since={outcome.since}
          madeHere
        />
      )}
      {(outcome === null || outcome.waits) && !flag.killed && (
        <p class="notice">
          {words.notKilled} <Link to={flagPath(flagKey)}>{words.toFlag}</Link>
        </p>
      )}
      {outcome === null && flag.killed && (
        <>
          {flag.release != null && <p class="notice">{words.beginsAnotherRelease}</p>}
          <RuleSummary flag={flag} />
          {flag.safetyLevel === 'ASIL_D' && <p class="notice">{words.needsSecondPerson}</p>}
          {may(session, 'stop') ? (
            <StopForm
              flagKey={flagKey}
              reasonHint={words.releaseReasonHint}
              button={words.releaseKillSwitch}
              sending={sending}
              fault={refusal}
              send={(reason) => {
                setSentAt(presentTime());
                release({ flagKey, reason });
              }}
            />
          ) : (
            <p class="notice">{words.mayNotKill}</p>
          )}
        </>
      )}
    </Page>
  );
}
