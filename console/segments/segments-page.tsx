/** The segments, with how many flags name each. */
import { useAuditNews } from '../api/audit-news.ts';
import { useQuery } from '../api/use-query.ts';
import { AllSegmentsDocument } from '../generated/operations.ts';
import { segmentPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { NumberCell } from '../parts/number-cell.tsx';
import { Offer } from '../parts/offer.tsx';
import { FaultNotice, Loading, Page } from '../parts/parts.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { mayNot, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';
import { SEGMENT_ACTIONS } from './segment-actions.ts';

/** The page that lists the segments. */
export function SegmentsPage() {
  const { words, formats } = useWords();
  const { session } = useStore(sessionState);
  const { data, fault, refresh } = useQuery(AllSegmentsDocument, {}, { concerns: ({ about }) => about === 'flag' });
  useAuditNews((action) => {
    if (SEGMENT_ACTIONS.includes(action)) refresh();
  });
  const segments = data?.segments ?? [];
  return (
    <Page
      title={words.segments}
      beside={
        <Offer why={mayNot(session, 'change', words)} to="/new-segment">
          {words.segment.newSegment}
        </Offer>
      }
    >
      <p class="quiet">{words.segment.lead}</p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null && segments.length === 0 && <p class="empty">{words.segment.none}</p>}
      {segments.length > 0 && (
        <table class="table" aria-label={words.segments}>
          <TableHead columns={[words.segment.title, words.segment.key, { number: words.segment.usedBy }]} />
          <tbody>
            {segments.map(({ key, name, flagCount }) => (
              <tr key={key}>
                <th scope="row">
                  <Link to={segmentPath(key)}>{name}</Link>
                </th>
                <td data-label={words.segment.key}>
                  <code class="breaking">{key}</code>
                </td>
                <NumberCell label={words.segment.usedBy}>{formats.number(flagCount)}</NumberCell>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Page>
  );
}
