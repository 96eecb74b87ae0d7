/** The vehicles that a change would concern which is not made yet: what they get now, and what they would get. */
import { useQuery } from '../api/use-query.ts';
import { ChangePreviewDocument, type ProposedChangeInput } from '../generated/operations.ts';
import { FaultNotice, Loading } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';
import { AudienceChangeTable } from './audience-change.tsx';
import type { Flag } from './flag-content.ts';

interface Asked {
  readonly flagKey: string;
  readonly change: ProposedChangeInput;
}

/** Asks whom a change would concern. @param asked null: nothing yet */
export function useChangeAudience(asked: Asked | null) {
  const query = useQuery(ChangePreviewDocument, asked === null ? null : { key: asked.flagKey, change: asked.change }, {
    concerns: (news) => news.about === 'flag' && news.key === asked?.flagKey,
  });
  return { ...query, audience: query.data?.flag?.previewChange.audience };
}

interface AudienceProps {
  readonly flag: Pick<Flag, 'key' | 'rules'>;
  readonly change: ProposedChangeInput;
}

/** Shows the audience of a change that can be made. */
export function ChangeAudience({ flag, change }: AudienceProps) {
  const { words } = useWords();
  const { audience, fault, refresh } = useChangeAudience({ flagKey: flag.key, change });
  return (
    <>
      <h3>{words.forms.audience}</h3>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {audience === undefined && fault === null && <Loading />}
      {audience !== undefined && <AudienceChangeTable change={audience} />}
      {flag.rules.some(({ type }) => type === 'USER_ATTRIBUTE') && <p class="quiet">{words.attributesUncounted}</p>}
    </>
  );
}
