/** The deliveries of a webhook: what was sent, how far each has got, and sending one again. */
import { useState } from 'preact/hooks';
import { useChange, useQuery } from '../../api/use-query.ts';
import {
  ReplayDeliveryDocument,
  WebhookDeliveriesDocument,
  type WebhookDeliveriesQuery,
  type WebhookDeliveryStatus,
} from '../../generated/operations.ts';
import { Fact, Facts } from '../../parts/facts.tsx';
import { Pager, usePaging } from '../../parts/pager.tsx';
import { Badge, FaultNotice, Loading, Time, type BadgeTone } from '../../parts/parts.tsx';
import { Select } from '../../parts/select.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';

const PAGE_SIZE = 20;
/** The milliseconds between two polls, because no event reports an attempt. */
const POLL_MS = 3_000;
const STATUSES: readonly WebhookDeliveryStatus[] = ['PENDING', 'DELIVERED', 'FAILED', 'CANCELLED'];
const TONES: Readonly<Record<WebhookDeliveryStatus, BadgeTone>> = {
  PENDING: 'plain',
  DELIVERED: 'accent',
  FAILED: 'danger',
  CANCELLED: 'faint',
};

type Delivery = WebhookDeliveriesQuery['webhookDeliveries']['nodes'][number];

function DeliveryItem({ delivery, done }: { readonly delivery: Delivery; readonly done: () => void }) {
  const { own, formats } = useAdministrationWords();
  const [isSent, setSent] = useState(false);
  const [replay, { sending, fault }] = useChange(ReplayDeliveryDocument, () => {
    setSent(true);
    done();
  });
  const { id, messageId, kind, payload, status, attempts, nextAttemptAt, lastAttemptAt, createdAt } = delivery;
  const { lastStatus, lastFault } = delivery;
  const name = own.kindNames[kind];
  return (
    <li>
      <details class="entry">
        <summary>
          <span class="entry-what">{name}</span>
          <Badge tone={TONES[status]}>{own.deliveryStates[status]}</Badge>
          <span class="quiet">
            <Time at={createdAt} /> · {own.attempts(attempts, formats.number(attempts))}
          </span>
        </summary>
        <div class="entry-content">
          <Facts>
            <Fact name={own.messageId}>
              <code class="breaking">{messageId}</code>
            </Fact>
            {lastAttemptAt !== null && (
              <Fact name={own.lastAttempt}>
                <Time at={lastAttemptAt} />
                {lastStatus !== null && ` · ${own.answered(String(lastStatus))}`}
                {lastFault !== null && (
                  <>
                    <br />
                    <span lang="en">{lastFault}</span>
                  </>
                )}
              </Fact>
            )}
            {status === 'PENDING' && nextAttemptAt !== null && (
              <Fact name={own.nextAttempt}>
                <Time at={nextAttemptAt} />
              </Fact>
            )}
          </Facts>
          <pre class="code" tabIndex={0} aria-label={own.payload}>
            {JSON.stringify(payload, null, 2)}
          </pre>
          {fault !== null && <FaultNotice fault={fault} />}
          <p role="status">{isSent && own.sentAgain}</p>
          <div class="buttons">
            <button type="button" class="button" disabled={sending} onClick={() => replay({ id })}>
              {own.sendAgain}
            </button>
          </div>
        </div>
      </details>
    </li>
  );
}

/** @param round another number: something was sent, so the list is read again */
export function Deliveries({ webhookId, round }: { readonly webhookId: string; readonly round: number }) {
  const { words, own } = useAdministrationWords();
  const [status, setStatus] = useState<WebhookDeliveryStatus | null>(null);
  const paging = usePaging(PAGE_SIZE, `${webhookId} ${status ?? ''} ${round}`);
  const { data, fault, loading, refresh } = useQuery(
    WebhookDeliveriesDocument,
    { webhookId, status, ...paging.page },
    { everyMs: POLL_MS },
  );
  const deliveries = data?.webhookDeliveries.nodes ?? null;
  return (
    <section class="panel" aria-labelledby="deliveries-title">
      <h2 id="deliveries-title">{own.deliveries}</h2>
      <p class="quiet">{own.deliveriesLead}</p>
      <div class="filter-row">
        <Select
          label={own.deliveryState}
          value={status}
          none={words.any}
          options={STATUSES.map((one) => [one, own.deliveryStates[one]])}
          onChoose={setStatus}
        />
      </div>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {deliveries === null && loading && <Loading />}
      {deliveries !== null && deliveries.length === 0 && (
        <p class="quiet">{status === null ? own.noDeliveries : own.noSuchDeliveries}</p>
      )}
      <ol class="entries">
        {deliveries?.map((delivery) => (
          <DeliveryItem key={delivery.id} delivery={delivery} done={refresh} />
        ))}
      </ol>
      {data !== null && (
        <Pager paging={paging} pageInfo={data.webhookDeliveries.pageInfo} label={own.pagesOfDeliveries} />
      )}
    </section>
  );
}
