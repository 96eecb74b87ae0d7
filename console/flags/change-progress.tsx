/** The progress of a change: the vehicles that have stored its revision, read again while some are missing. */
import { useState } from 'preact/hooks';
import { useQuery } from '../api/use-query.ts';
import { ProgressDocument, type Environment } from '../generated/operations.ts';
import { FaultNotice, ProgressBar } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';
import { MissingVehicles } from './missing-vehicles.tsx';

/** The milliseconds between two polls. */
const POLL_MS = 3_000;

interface ProgressProps {
  readonly flagKey: string;
  readonly environment: Environment;
  readonly revision: number;
}

/** Shows how many vehicles have stored a revision of a flag in an environment. */
export function ChangeProgress({ flagKey, environment, revision }: ProgressProps) {
  const { words, formats } = useWords();
  const { data, fault, refresh } = useQuery(
    ProgressDocument,
    { environment, revision, flag: flagKey },
    { everyMs: POLL_MS },
  );
  if (fault !== null) return <FaultNotice fault={fault} retry={refresh} />;
  if (data === null) return null;
  const { applied, active, total, percent } = data.rolloutProgress;
  return (
    <section class="panel" aria-labelledby="progress-title">
      <h2 id="progress-title">{words.lastChange}</h2>
      {total === 0 ? (
        <p class="quiet">{words.noVehicles}</p>
      ) : (
        <>
          <ProgressBar label={words.lastChange} percent={percent} />
          <p>
            {words.vehiclesHaveIt(formats.number(applied), formats.number(total), formats.percent(floored(percent)))}
            {applied < total && (
              <span class="quiet"> {words.vehiclesMissing(total - applied, formats.number(total - applied))}</span>
            )}
          </p>
          {active < applied && <p>{words.waitInVehicles(applied - active, formats.number(applied - active))}</p>}
          {applied < total && (
            <MissingDetails flagKey={flagKey} environment={environment} revision={revision} count={total - applied} />
          )}
        </>
      )}
    </section>
  );
}

/** Names the vehicles that are missing, once somebody asks for it. */
function MissingDetails(props: ProgressProps & { readonly count: number }) {
  const { words } = useWords();
  const [open, setOpen] = useState(false);
  return (
    <details class="entry" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{words.showMissing}</summary>
      {open && <MissingVehicles {...props} />}
    </details>
  );
}

/** Cuts to one decimal: 199,999 of 200,000 vehicles are not 100 %. */
const floored = (percent: number) => Math.floor(percent * 10) / 10;
