/** The releases of a flag that have ended, newest first, each with its reason and its content. */
import { useState } from 'preact/hooks';
import { useQuery } from '../api/use-query.ts';
import { ReleasesOfFlagDocument, type ReleasePartsFragment } from '../generated/operations.ts';
import { Pager, type Paging } from '../parts/pager.tsx';
import { FaultNotice, Time } from '../parts/parts.tsx';
import { useReleaseWords } from '../words/use-release-words.ts';
import { ContentDifference } from './content-difference.tsx';
import { ReleaseBadge } from './release-badge.tsx';
import { ReleaseGuards } from './release-guards.tsx';
import { releaseReason } from './release-reason.ts';

const PAGE_SIZE = 10;

/** Keeps the way through a list that can only be read forwards: the cursors behind which its pages begin. */
function useForwardPaging(size: number): Paging & { readonly after: string | null } {
  const [cursors, setCursors] = useState<readonly string[]>([]);
  const after = cursors.at(-1) ?? null;
  return {
    after,
    page: { first: size, after },
    at: cursors.length * size,
    size,
    goTo: (page) => setCursors(page.after == null ? cursors.slice(0, -1) : [...cursors, page.after]),
  };
}

function EndedRelease({ release }: { readonly release: ReleasePartsFragment }) {
  const spoken = useReleaseWords();
  const { words, texts, formats } = spoken;
  const { status, percentage, startedAt, endedAt, startedBy, reason, content, stableContent } = release;
  return (
    <li>
      <details class="entry">
        <summary>
          <span class="entry-what">
            <ReleaseBadge status={status} /> {texts.reached} {formats.percent(percentage)}
          </span>
          <span class="quiet">
            {startedBy?.name ?? words.theSystem} · <Time at={startedAt} />
            {endedAt != null && (
              <>
                {' '}
                · {texts.endedAt} <Time at={endedAt} />
              </>
            )}
          </span>
          {reason != null && <span class="entry-why">{texts.because(releaseReason(reason, spoken))}</span>}
        </summary>
        <ContentDifference content={content} stableContent={stableContent} />
        {release.guards.length > 0 && <ReleaseGuards guards={release.guards} />}
        <pre class="code" tabIndex={0} aria-label={texts.content}>
          {JSON.stringify(content, null, 2)}
        </pre>
      </details>
    </li>
  );
}

/** Shows the ended releases of a flag, page by page. */
export function EndedReleases({ flagKey }: { readonly flagKey: string }) {
  const { texts } = useReleaseWords();
  const paging = useForwardPaging(PAGE_SIZE);
  const { data, fault, refresh } = useQuery(
    ReleasesOfFlagDocument,
    { key: flagKey, first: PAGE_SIZE, after: paging.after },
    { concerns: (news) => news.about === 'flag' && news.key === flagKey },
  );
  const ended = data?.releases.nodes.filter(({ endedAt }) => endedAt != null) ?? [];
  // Most flags have never had one.
  if (fault === null && ended.length === 0 && paging.after === null) return null;
  return (
    <section class="panel" aria-labelledby="ended-releases-title">
      <h2 id="ended-releases-title">{texts.ended}</h2>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      <ol class="entries">
        {ended.map((release) => (
          <EndedRelease key={release.id} release={release} />
        ))}
      </ol>
      {data !== null && (
        <Pager
          paging={paging}
          pageInfo={{
            hasNextPage: data.releases.pageInfo.hasNextPage,
            hasPreviousPage: paging.after !== null,
            startCursor: paging.after,
            endCursor: data.releases.pageInfo.endCursor,
          }}
          label={texts.pages}
        />
      )}
    </section>
  );
}
