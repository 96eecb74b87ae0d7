/**
 * Pulling a kill switch: the flag, what it does, a reason, the flag's key typed, and the way of the change to the
 * fleet.
 */
import { useState } from 'preact/hooks';
import { useChange, useQuery } from '../../api/use-query.ts';
import { presentTime } from '../../api/clock.ts';
import { publish } from '../../api/live.ts';
import { FlagToStopDocument, PullKillSwitchDocument, type FlagToStopQuery } from '../../generated/operations.ts';
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

type Flag = NonNullable<FlagToStopQuery['flag']>;

interface PulledProps {
  readonly flag: Flag;
  readonly flagKey: string;
  /** The revision of the flag by which it was pulled. */
  readonly revision: number;
  /** The time at which it was pulled, in milliseconds since 1970. */
  readonly at: number;
  readonly madeHere: boolean;
}

/** Shows the way of a kill to the fleet, or that it was released since. */
function Pulled({ flag, flagKey, revision, at, madeHere }: PulledProps) {
  const { words } = useWords();
  // The flag as it was before the change says nothing about it: its newer state is on its way.
  const isReleased = !flag.killed && flag.revision >= revision;
  return (
    <Page title={isReleased ? words.notKilled : words.killedTitle} about={isReleased ? undefined : flag.name}>
      <FlagLine name={flag.name} flagKey={flagKey} />
      {isReleased ? (
        <p>{words.killReleasedSince}</p>
      ) : (
        <>
          <FleetWatch
            flagKey={flag.archivedAt == null ? flagKey : null}
            environment={flag.environment}
            revision={revision}
            since={at}
            madeHere={madeHere}
          />
          <p>{killedText(flag, { words })}</p>
          <ConcernedFlags flags={flag.dependents} lead={words.scopes.tookAlong} />
          <ConcernedFlags flags={flag.freed} lead={words.scopes.freed} />
        </>
      )}
      <div class="buttons">
        <Link to={flagPath(flagKey)} class="button">
          {words.toFlag}
        </Link>
      </div>
    </Page>
  );
}

/** Says why there is nothing to stop; nothing where there is. */
function NothingToStop({ flag, flagKey }: { readonly flag: Flag; readonly flagKey: string }) {
  const { words } = useWords();
  return (
    <>
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
      {isNowhere(flag) && <p class="notice">{words.killNoVehicle}</p>}
    </>
  );
}

/** Whether no vehicle has the flag. */
const isNowhere = ({ draft, archivedAt }: Flag) => draft || archivedAt != null;

/** The page for one flag: the form, or the way of the kill that the address names. */
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
  const [pulledAt, setPulledAt] = useState(0);
  const [pull, { sending, fault: refusal }] = useChange(PullKillSwitchDocument, ({ killSwitch: { flag: killed } }) => {
    goTo(withQuery(flagPath(flagKey, '/kill'), { revision: String(killed.revision), at: String(pulledAt) }), {
      replace: true,
    });
    publish({ about: 'flag', key: flagKey });
  });
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
  if (revision > 0)
    return <Pulled flag={flag} flagKey={flagKey} revision={revision} at={at} madeHere={pulledAt === at} />;
  const canStop = !flag.killed && !isNowhere(flag);
  return (
    <Page title={words.kill} about={flag.name}>
      <FlagLine name={flag.name} flagKey={flagKey} />
      <NothingToStop flag={flag} flagKey={flagKey} />
      {canStop && (
        <>
          <ConcernedFlags flags={flag.dependents} lead={words.scopes.takesAlong} />
          <ConcernedFlags flags={flag.freed} lead={words.scopes.frees} />
          <KillAudience flag={flag} />
        </>
      )}
      {canStop && !may(session, 'stop') && <p class="notice">{words.mayNotKill}</p>}
      {canStop && may(session, 'stop') && (
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
