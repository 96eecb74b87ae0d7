/** The form of a new webhook, whose secret is then shown once. */
import { useState } from 'preact/hooks';
import { useChange } from '../api/use-query.ts';
import { CreateWebhookDocument, type CreateWebhookMutation } from '../generated/operations.ts';
import { webhookPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { Page } from '../parts/parts.tsx';
import { Secret } from '../parts/secret.tsx';
import { useAdministrationWords } from '../words/use-administration-words.ts';
import { WebhookForm } from './webhook-form.tsx';

export function NewWebhookPage() {
  const { words, own } = useAdministrationWords();
  const [made, setMade] = useState<CreateWebhookMutation['createWebhook'] | null>(null);
  const [create, { sending, fault }] = useChange(CreateWebhookDocument, ({ createWebhook }) => setMade(createWebhook));
  if (made === null)
    return (
      <Page title={own.newWebhook}>
        <WebhookForm
          webhook={null}
          action={own.createWebhook}
          sending={sending}
          fault={fault}
          send={(input) => create({ input })}
        />
      </Page>
    );
  return (
    <Page title={own.webhookIsThere}>
      <section class="panel" aria-label={made.webhook.name}>
        <Secret label={own.webhookSecret} hint={own.webhookSecretOnce} secret={made.secret} copyWords={words.copying} />
      </section>
      <p class="buttons">
        <Link to={webhookPath(made.webhook.id)} class="button">
          {own.toTheWebhook}
        </Link>
        <Link to="/webhooks" class="button">
          {own.toWebhooks}
        </Link>
      </p>
    </Page>
  );
}
