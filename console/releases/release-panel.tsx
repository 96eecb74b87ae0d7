/** The release of a flag that is under way: how far it is and why, its stages, the faults of vehicles, and its acts. */
import { useQuery } from '../api/use-query.ts';
import { ReleaseUnderWayDocument, type ReleasePartsFragment } from '../generated/operations.ts';
import { Fact, Facts } from '../parts/facts.tsx';
import { FaultNotice, Loading, ProgressBar, Time } from '../parts/parts.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { durationSeconds } from '../administration/policies/duration-seconds.ts';
import { useReleaseWords } from '../words/use-release-words.ts';
import { ContentDifference } from './content-difference.tsx';
import { FaultFigures } from './fault-figures.tsx';
import { FaultTable } from './fault-table.tsx';
import { ReleaseActions } from './release-actions.tsx';
import { ReleaseBadge } from './release-badge.tsx';
import { ReleaseGuards } from './release-guards.tsx';
import { releaseReason } from './release-reason.ts';
import { stagePlaces } from './stage-place.ts';

/** The milliseconds between two polls, because no event reports that a release holds, nor the faults of vehicles. */
const POLL_MS = 5_000;

function Stages({ stages, percentage }: Pick<ReleasePartsFragment, 'stages' | 'percentage'>) {
  const { texts, formats } = useReleaseWords();
  const places = stagePlaces(stages, percentage);
  return (
    <table class="table" aria-label={texts.stages}>
      <TableHead columns={[texts.stage, texts.share, texts.soak, texts.reports, texts.place]} />
      <tbody>
        {stages.map(({ percentage: share, soak, minimumVehicles }, index) => (
          <tr key={share}>
            <th scope="row">{formats.number(index + 1)}</th>
            <td data-label={texts.share}>{share === 0 ? texts.canaryAlone : formats.percent(share)}</td>
            <td data-label={texts.soak}>{formats.duration(durationSeconds(soak))}</td>
            <td data-label={texts.reports}>
              {minimumVehicles === 0
                ? texts.noReports
                : texts.vehiclesCounted(minimumVehicles, formats.number(minimumVehicles))}
            </td>
            <td data-label={texts.place}>{texts.places[places[index] ?? 'ahead']}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Shows the panel for a flag. It is read again at intervals and when the flag changes. */
export function ReleasePanel({ flagKey }: { readonly flagKey: string }) {
  const spoken = useReleaseWords();
  const { texts, formats } = spoken;
  const { data, fault, refresh } = useQuery(
    ReleaseUnderWayDocument,
    { key: flagKey },
    { concerns: (news) => news.about === 'flag' && news.key === flagKey, everyMs: POLL_MS },
  );
  const flag = data?.flag ?? null;
  const release = flag?.release ?? null;
  return (
    <section class="panel" aria-labelledby="release-title">
      <h2 id="release-title">{data !== null && release === null ? texts.status : texts.title}</h2>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null && release === null && <p role="status">{texts.hasEnded}</p>}
      {flag !== null && release !== null && (
        <>
          <p>{texts.lead}</p>
          <ProgressBar label={texts.share} percent={release.percentage} />
          <p role="status">
            {release.status === 'HOLDING' && release.reason != null
              ? texts.holds(releaseReason(release.reason, spoken))
              : release.percentage === 100
                ? texts.runningLast
                : texts.running}
          </p>
          <Facts>
            <Fact name={texts.status}>
              <ReleaseBadge status={release.status} />
            </Fact>
            <Fact name={texts.share}>
              {release.percentage === 0 ? texts.canaryAlone : formats.percent(release.percentage)}
            </Fact>
            {release.startedBy != null && <Fact name={texts.startedBy}>{release.startedBy.name}</Fact>}
            <Fact name={texts.startedAt}>
              <Time at={release.startedAt} />
            </Fact>
            <Fact name={texts.stageSince}>
              <Time at={release.stageStartedAt} />
            </Fact>
          </Facts>
          <h3>{texts.difference}</h3>
          <ContentDifference content={release.content} stableContent={release.stableContent} />
          <Stages stages={release.stages} percentage={release.percentage} />
          {release.guards.length > 0 && <ReleaseGuards guards={release.guards} />}
          <h3>{texts.faults}</h3>
          <FaultFigures flagKey={flag.key} />
          <p class="quiet">{texts.faultsLead}</p>
          <FaultTable faults={flag.faults} />
          <ReleaseActions flag={flag} release={release} refresh={refresh} />
        </>
      )}
    </section>
  );
}
