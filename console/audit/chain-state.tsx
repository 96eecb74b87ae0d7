/** The state of the audit log's chain, computed when the user presses a button, because that reads the whole log. */
import { useState } from 'preact/hooks';
import { useQuery } from '../api/use-query.ts';
import { ChainStateDocument } from '../generated/operations.ts';
import { FaultNotice, Loading } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';

/** Shows a button that checks the chain, and then the outcome: intact, or the first broken entry. */
export function ChainState() {
  const { words, formats } = useWords();
  const [asked, setAsked] = useState(false);
  const { data, fault, loading, refresh } = useQuery(ChainStateDocument, asked ? {} : null);
  const chain = data?.auditIntegrity ?? null;
  return (
    <section class="panel" aria-labelledby="chain-title">
      <h2 id="chain-title">{words.chain}</h2>
      <p class="quiet">{words.chainLead}</p>
      {fault !== null && <FaultNotice fault={fault} />}
      {loading && <Loading />}
      {chain !== null && (
        <p class={chain.intact ? 'notice' : 'notice notice-fault'} role="status">
          {chain.intact ? words.chainIntact(formats.number(chain.checked)) : words.chainBroken(chain.fault ?? '')}
        </p>
      )}
      {chain?.headHash !== undefined && chain?.headHash !== null && (
        <p class="quiet">
          {words.chainHead} <code class="breaking">{chain.headHash}</code>
        </p>
      )}
      <div class="buttons">
        <button type="button" class="button" disabled={loading} onClick={() => (asked ? refresh() : setAsked(true))}>
          {words.checkChain}
        </button>
      </div>
    </section>
  );
}
