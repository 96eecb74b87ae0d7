/** The vehicles that a change would concern: what they get now, and what they would get. */
import { useQuery } from '../api/use-query.ts';
import { RequestAudienceDocument } from '../generated/operations.ts';
import { FaultNotice, Loading } from '../parts/parts.tsx';
import { AudienceChangeTable } from './audience-change.tsx';

/** Shows the vehicles that a waiting change request would concern. Takes the id of the request. */
export function RequestAudience({ id }: { readonly id: string }) {
  const { data, fault, refresh } = useQuery(
    RequestAudienceDocument,
    { id },
    { concerns: ({ about }) => about === 'flag' },
  );
  if (fault !== null) return <FaultNotice fault={fault} retry={refresh} />;
  if (data === null) return <Loading />;
  const node = data.node;
  const audience = node !== null && 'audience' in node ? node.audience : null;
  return audience === null ? null : <AudienceChangeTable change={audience} />;
}
