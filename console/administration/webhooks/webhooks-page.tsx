/** The webhooks: to whom the control plane sends what happens. */
import { useAuditNews } from '../../api/audit-news.ts';
import { useQuery } from '../../api/use-query.ts';
import { WebhooksDocument } from '../../generated/operations.ts';
import { webhookPath } from '../../navigation/paths.ts';
import { Link, usePlace } from '../../navigation/router.tsx';
import { FaultNotice, Loading, Page } from '../../parts/parts.tsx';
import { TableHead } from '../../parts/table-head.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { WebhookBadge } from './webhook-badge.tsx';

/** The milliseconds between two polls, because no event reports that a receiver fails. */
const POLL_MS = 30_000;

/** The page that lists the webhooks. */
export function WebhooksPage() {
  const { words, own, formats } = useAdministrationWords();
  const isDeleted = new URLSearchParams(usePlace().query).has('deleted');
  const { data, fault, loading, refresh } = useQuery(WebhooksDocument, {}, { everyMs: POLL_MS });
  useAuditNews((action) => action.includes('WEBHOOK') && refresh());
  const webhooks = data?.webhooks ?? null;
  return (
    <Page
      title={words.webhooks}
      beside={
        <Link to="/webhooks/new" class="button button-main">
          {own.newWebhook}
        </Link>
      }
    >
      <p class={isDeleted ? 'notice' : 'hidden'} role="status">
        {isDeleted && own.webhookDeleted}
      </p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {webhooks === null && loading && <Loading />}
      {webhooks !== null && webhooks.length === 0 && <p class="empty">{own.noWebhooks}</p>}
      {webhooks !== null && webhooks.length > 0 && (
        <>
          <p class="quiet count" role="status">
            {own.webhooksFound(webhooks.length, formats.number(webhooks.length))}
          </p>
          <table class="table table-flags">
            <TableHead columns={[own.webhook, words.state, own.webhookKinds]} />
            <tbody>
              {webhooks.map((webhook) => (
                <tr key={webhook.id}>
                  <th scope="row">
                    <Link to={webhookPath(webhook.id)} class="flag-link">
                      <span class="flag-name">{webhook.name}</span>
                      <span class="quiet breaking">{webhook.url}</span>
                    </Link>
                  </th>
                  <td data-label={words.state}>
                    <WebhookBadge webhook={webhook} />
                  </td>
                  <td data-label={own.webhookKinds} class="quiet wrapping">
                    {webhook.kinds.map((kind) => own.kindNames[kind]).join(', ')}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </Page>
  );
}
