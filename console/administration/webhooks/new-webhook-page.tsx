/** The form of a new webhook, whose secret is then shown once. */
import { useState } from 'preact/hooks';
import { useChange } from '../../api/use-query.ts';
import { useNewForm } from '../../changes/edited-form.tsx';
import type { Edited } from '../../changes/edited-state.ts';
import { CreateWebhookDocument, type CreateWebhookMutation } from '../../generated/operations.ts';
import { webhookPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { keptForms } from '../../parts/kept-forms.ts';
import { Page } from '../../parts/parts.tsx';
import { Secret } from '../../parts/secret.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { webhookDraftOf, type WebhookDraft } from './webhook-draft.ts';
import { WebhookForm } from './webhook-form.tsx';

/** The forms of new webhooks that were left. */
const leftForms = keptForms<Edited<null, WebhookDraft>>();

/** The page of the form, and then of the secret. */
export function NewWebhookPage() {
  const { words, own } = useAdministrationWords();
  const [made, setMade] = useState<CreateWebhookMutation['createWebhook'] | null>(null);
  const [create, change] = useChange(CreateWebhookDocument, ({ createWebhook }) => setMade(createWebhook));
  const edited = useNewForm({ leftForms, fresh: () => webhookDraftOf(null), change, isDone: made !== null });
  if (made === null)
    return (
      <Page title={own.newWebhook}>
        <WebhookForm
          edited={edited}
          action={own.createWebhook}
          sending={change.sending}
          fault={change.fault}
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
