/** A change on its way to the fleet, second by second, until the last vehicle has it. */
import { useEffect, useState } from 'preact/hooks';
import { presentTime } from '../../api/clock.ts';
import { useQuery } from '../../api/use-query.ts';
import { MissingVehicles } from '../missing-vehicles.tsx';
import { ProgressDocument, type Environment } from '../../generated/operations.ts';
import { FaultNotice, ProgressBar } from '../../parts/parts.tsx';
import { useWords } from '../../words/language.ts';

/** The milliseconds between two polls: at first each second, later as often as the page of the flag. */
const [SOON_MS, LATER_MS] = [1_000, 3_000];
/** Milliseconds after which readings become rarer. */
const FIRST_MINUTES_MS = 120_000;

interface FleetWatchProps {
  /** The flag whose change it is; null where it is archived, so that it has no vehicles of its own. */
  readonly flagKey: string | null;
  readonly environment: Environment;
  readonly revision: number;
  /** The time at which the change was sent, by the control plane's clock, in milliseconds since 1970. */
  readonly since: number;
  /** Whether the change was made on this page, so that the page has seen its whole way. */
  readonly madeHere: boolean;
}

/** Shows the share of the fleet that has a change, the time since it was sent, and the vehicles that are missing. */
export function FleetWatch({ flagKey, environment, revision, since, madeHere }: FleetWatchProps) {
  const { words, formats } = useWords();
  const [passed, setPassed] = useState(presentTime() - since);
  const [isDone, setIsDone] = useState(false);
  /** Whether it waits in no vehicle for the end of a drive either. */
  const [isActive, setIsActive] = useState(false);
  const { data, fault, refresh } = useQuery(
    ProgressDocument,
    { environment, revision, flag: flagKey },
    { everyMs: isActive ? undefined : !isDone && passed < FIRST_MINUTES_MS ? SOON_MS : LATER_MS },
  );
  const progress = data?.rolloutProgress ?? null;
  const all = progress !== null && progress.applied === progress.total;
  const [wasMissing, setWasMissing] = useState(false);
  useEffect(() => {
    if (progress === null) return;
    if (!all) setWasMissing(true);
    else {
      setIsDone(true);
      setIsActive(progress.active === progress.total);
    }
  }, [progress, all]);
  useEffect(() => {
    if (isDone) return;
    const timer = setInterval(() => setPassed(presentTime() - since), 200);
    return () => clearInterval(timer);
  }, [isDone, since]);
  // Where all vehicles had the change before the page was opened, nobody here knows when the last one got it.
  const knowsTime = passed >= 0 && (!isDone || wasMissing || madeHere);
  const missing = progress === null ? 0 : progress.total - progress.applied;
  const waiting = progress === null ? 0 : progress.applied - progress.active;
  return (
    <section class="panel" aria-labelledby="watch-title">
      <h2 id="watch-title">{words.onItsWay}</h2>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      <div class="watch">
        <p class="watch-number">
          <strong>{progress === null ? words.loading : formats.percent(Math.floor(progress.percent * 10) / 10)}</strong>
          <span class="quiet">{words.ofTheFleet}</span>
        </p>
        {knowsTime && (
          <p class="watch-number">
            <strong>{formats.seconds(passed)}</strong>
            <span class="quiet">{isDone ? words.untilLast : words.sinceChange}</span>
          </p>
        )}
        <p class="watch-number">
          <strong>{progress === null ? words.loading : formats.number(missing)}</strong>
          <span class="quiet">{words.missing}</span>
        </p>
      </div>
      {progress !== null && <ProgressBar label={words.onItsWay} percent={progress.percent} />}
      <p role="status">
        {progress === null
          ? ''
          : all
            ? words.allHaveIt(progress.total, formats.number(progress.total))
            : words.missingLead}
        {waiting > 0 && ` ${words.waitInVehicles(waiting, formats.number(waiting))}`}
      </p>
      {missing > 0 && fault === null && (
        <MissingVehicles flagKey={flagKey} environment={environment} revision={revision} count={missing} />
      )}
    </section>
  );
}
