/**
 * Pulling a kill switch: the flag, what it does, a reason, the flag's key typed, and the way of the change to the
 * fleet.
 */
import { useState } from 'preact/hooks';
import { useChange, useQuery } from '../../api/use-query.ts';
import { presentTime } from '../../api/clock.ts';
import { publish } from '../../api/live.ts';
import { FlagToStopDocument, PullKillSwitchDocument } from '../../generated/operations.ts';
import { flagPath, withQuery } from '../../navigation/paths.ts';
import { Link, goTo, usePlace } from '../../navigation/router.tsx';
import { FaultNotice, Loading, Page } from '../../parts/parts.tsx';
import { may, sessionState } from '../../session/session.ts';
import { useStore } from '../../store.ts';
import { useWords } from '../../words/language.ts';
import { ConcernedFlags, FlagLine } from './flag-lines.tsx';
import { FleetWatch } from './fleet-watch.tsx';
import { KillAudience } from './kill-audience.tsx';
import { killedText } from './killed-text.ts';
import { StopForm } from './stop-form.tsx';

/** Shows the page for one flag: the form, or the way of the kill that the address names. */
export function KillPage({ flagKey }: { readonly flagKey: string }) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const { query } = usePlace();
  // What the page watches is in its address, so that it survives a reload and can be sent to somebody.
  const watched = new URLSearchParams(query);
  const [revision, at] = [Number(watched.get('revision')), Number(watched.get('at'))];
  const { data, fault, refresh } = useQuery(
    FlagToStopDocument,
    { key: flagKey },
    { concerns: (news) => news.about === 'flag' && news.key === flagKey },
  );
  const [pull, { sending, fault: refusal }] = useChange(PullKillSwitchDocument, ({ killSwitch: { flag } }) => {
    goTo(withQuery(flagPath(flagKey, '/kill'), { revision: String(flag.revision), at: String(pulledAt) }), {
      replace: true,
    });
    publish({ about: 'flag', key: flagKey });
  });
  const [pulledAt, setPulledAt] = useState(0);
  const flag = data?.flag ?? null;
  if (flag === null)
    return (
      <Page title={words.kill} about={flagKey}>
        {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
        {data === null && fault === null && <Loading />}
        {data !== null && (
          <p class="empty">
            {words.noSuchFlag} <Link to="/kill">{words.chooseFlag}</Link>
          </p>
        )}
      </Page>
    );
  // The flag as it was before the change says nothing about it: its newer state is on its way.
  if (revision > 0 && !flag.killed && flag.revision >= revision)
    return (
      <Page title={words.notKilled}>
        <FlagLine name={flag.name} flagKey={flagKey} />
        <p>{words.killReleasedSince}</p>
        <div class="buttons">
          <Link to={flagPath(flagKey)} class="button">
            {words.toFlag}
          </Link>
        </div>
      </Page>
    );
  if (revision > 0)
    return (
      <Page title={words.killedTitle} about={flag.name}>
        <FlagLine name={flag.name} flagKey={flagKey} />
        <FleetWatch
          flagKey={flag.archivedAt == null ? flagKey : null}
          environment={flag.environment}
          revision={revision}
          since={at}
          madeHere={pulledAt === at}
        />
        <p>{killedText(flag, { words })}</p>
        <ConcernedFlags flags={flag.dependents} lead={words.scopes.tookAlong} />
        <ConcernedFlags flags={flag.freed} lead={words.scopes.freed} />
        <div class="buttons">
          <Link to={flagPath(flagKey)} class="button">
            {words.toFlag}
          </Link>
        </div>
      </Page>
    );
  const isGone = flag.draft || (flag.archivedAt !== null && flag.archivedAt !== undefined);
  return (
    <Page title={words.kill} about={flag.name}>
      <FlagLine name={flag.name} flagKey={flagKey} />
      {flag.killed && (
        <div class="notice notice-killed">
          <p>
            <strong>{words.killedTitle}</strong> {words.killedAlready}
          </p>
          <Link to={flagPath(flagKey, '/release')} class="button">
            {words.releaseKillSwitch}
          </Link>
        </div>
      )}
      {isGone && <p class="notice">{words.killNoVehicle}</p>}
      {!isGone && !flag.killed && <ConcernedFlags flags={flag.dependents} lead={words.scopes.takesAlong} />}
      {!isGone && !flag.killed && <ConcernedFlags flags={flag.freed} lead={words.scopes.frees} />}
      {!isGone && !flag.killed && <KillAudience flag={flag} />}
      {!isGone && !flag.killed && !may(session, 'stop') && <p class="notice">{words.mayNotKill}</p>}
      {!isGone && !flag.killed && may(session, 'stop') && (
        <StopForm
          flagKey={flagKey}
          reasonHint={words.killReasonHint}
          button={words.killNow}
          danger
          sending={sending}
          fault={refusal}
          send={(reason) => {
            setPulledAt(presentTime());
            pull({ flagKey, reason });
          }}
        />
      )}
    </Page>
  );
}
