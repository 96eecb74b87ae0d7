/** One segment: who belongs to it, the flags that name it, its form, and its deletion. */
import { useRef, useState } from 'preact/hooks';
import { useAuditNews } from '../api/audit-news.ts';
import { useChange, useQuery } from '../api/use-query.ts';
import { DeleteSegmentDocument, OneSegmentDocument } from '../generated/operations.ts';
import { flagPath } from '../navigation/paths.ts';
import { Link, goTo } from '../navigation/router.tsx';
import { ConfirmDialog } from '../parts/confirm-dialog.tsx';
import { FaultNotice, Loading, Page } from '../parts/parts.tsx';
import { mayNot, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';
import { SEGMENT_ACTIONS } from './segment-actions.ts';
import { SegmentForm, type Segment } from './segment-form.tsx';

/** The button that deletes a segment, and the question before it. */
function Removal({ segment }: { readonly segment: Segment }) {
  const { words } = useWords();
  const [isAsked, setAsked] = useState(false);
  const [remove, { sending, fault, forget }] = useChange(DeleteSegmentDocument, () => goTo('/segments'));
  return (
    <>
      <button type="button" class="button" onClick={() => setAsked(true)}>
        {words.segment.remove}
      </button>
      {isAsked && (
        <ConfirmDialog
          title={`${words.segment.remove}: ${segment.name}`}
          action={words.segment.remove}
          danger
          sending={sending}
          fault={fault}
          confirm={() => remove({ key: segment.key })}
          close={() => {
            setAsked(false);
            forget();
          }}
        >
          <p>{words.segment.removeLead}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

function Present({ segment }: { readonly segment: Segment }) {
  const { words, formats } = useWords();
  const { matched, total } = segment.audience;
  return (
    <dl class="facts">
      <div>
        <dt>{words.segment.audience}</dt>
        <dd>{words.segment.members(formats.number(matched), formats.number(total))}</dd>
      </div>
      <div>
        <dt>{words.segment.usedBy}</dt>
        <dd>
          {segment.flags.length === 0 ? (
            words.segment.unused
          ) : (
            <ul class="counts">
              {segment.flags.map((flag) => (
                <li key={flag.key}>
                  <Link to={flagPath(flag.key)}>{flag.name}</Link>
                </li>
              ))}
            </ul>
          )}
          {segment.flagCount > segment.flags.length && (
            <p class="quiet">{words.segment.moreFlags(formats.number(segment.flagCount - segment.flags.length))}</p>
          )}
        </dd>
      </div>
    </dl>
  );
}

/** The page of one segment. */
export function SegmentPage({ segmentKey }: { readonly segmentKey: string }) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const { data, fault, refresh } = useQuery(
    OneSegmentDocument,
    { key: segmentKey },
    { concerns: ({ about }) => about === 'flag' },
  );
  // A segment that no rule names has no news but those of the audit log.
  useAuditNews((action) => {
    if (SEGMENT_ACTIONS.includes(action)) refresh();
  });
  const segment = data?.segment ?? null;
  const refused = mayNot(session, 'change', words);
  // Somebody else may delete the segment while its form is filled in, which must not take the form away.
  const wasThere = useRef(false);
  wasThere.current ||= segment !== null;
  return (
    <Page title={segment?.name ?? segmentKey} about={words.segment.title}>
      <p class="flag-sub">
        <code>{segmentKey}</code> <Link to="/segments">{words.segment.toSegments}</Link>
      </p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null && segment === null && (
        <p class="notice" role="status">
          {wasThere.current && refused === null ? words.segment.gone : words.segment.noSuch}
        </p>
      )}
      {segment !== null && <Present segment={segment} />}
      {segment !== null && refused !== null && <p class="notice">{refused}</p>}
      {wasThere.current && refused === null && (
        <SegmentForm segmentKey={segmentKey} segment={segment} refresh={refresh} />
      )}
      {segment !== null && refused === null && segment.flags.length === 0 && <Removal segment={segment} />}
    </Page>
  );
}

/** The page on which a segment is made. */
export function NewSegmentPage() {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const refused = mayNot(session, 'change', words);
  return (
    <Page title={words.segment.newSegment}>
      {refused === null ? <SegmentForm segmentKey={null} segment={null} /> : <p class="notice">{refused}</p>}
    </Page>
  );
}
