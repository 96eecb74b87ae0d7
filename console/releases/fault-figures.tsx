/**
 * The faulty vehicles with the new content of a release, compared with the others, and the limits of the health gate.
 */
import { useQuery } from '../api/use-query.ts';
import { ReleaseFiguresDocument, type ReleaseFiguresQuery } from '../generated/operations.ts';
import { NumberCell } from '../parts/number-cell.tsx';
import { FaultNotice, Loading } from '../parts/parts.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { useReleaseWords } from '../words/use-release-words.ts';

/** The milliseconds between two polls. Each may count the whole fleet. */
const POLL_MS = 15_000;

type Release = NonNullable<NonNullable<ReleaseFiguresQuery['flag']>['release']>;
type Share = NonNullable<Release['faultFigures']>['ring'];

function ShareRow({ name, share: { vehicles, faulty } }: { readonly name: string; readonly share: Share }) {
  const { texts, formats } = useReleaseWords();
  return (
    <tr>
      <th scope="row">{name}</th>
      <NumberCell label={texts.counted}>{formats.number(vehicles)}</NumberCell>
      <NumberCell label={texts.faultyCounted}>{formats.number(faulty)}</NumberCell>
      <NumberCell label={texts.faultyShare}>
        {vehicles === 0 ? texts.noShare : formats.percent((faulty / vehicles) * 100)}
      </NumberCell>
    </tr>
  );
}

/** Shows these numbers for the release of a flag that is under way. They are read again at intervals. */
export function FaultFigures({ flagKey }: { readonly flagKey: string }) {
  const { texts, formats } = useReleaseWords();
  const { data, fault, refresh } = useQuery(
    ReleaseFiguresDocument,
    { key: flagKey },
    { concerns: (news) => news.about === 'flag' && news.key === flagKey, everyMs: POLL_MS },
  );
  if (fault !== null) return <FaultNotice fault={fault} retry={refresh} />;
  if (data === null) return <Loading />;
  const figures = data.flag?.release?.faultFigures ?? null;
  if (figures === null) return null;
  const { ring, rest, maximumFaultyVehicles, maximumFaultyPercent } = figures;
  return (
    <>
      <p class="quiet">
        {texts.figuresLead(formats.number(maximumFaultyVehicles), formats.number(maximumFaultyPercent))}
      </p>
      <table class="table" aria-label={texts.figures}>
        <TableHead
          columns={[
            texts.side,
            { number: texts.counted },
            { number: texts.faultyCounted },
            { number: texts.faultyShare },
          ]}
        />
        <tbody>
          <ShareRow name={texts.ring} share={ring} />
          <ShareRow name={texts.rest} share={rest} />
        </tbody>
      </table>
    </>
  );
}
