/** One webhook: its state, a test, a new secret, its change and its end, and its deliveries. */
import { useState } from 'preact/hooks';
import { useAuditNews } from '../../api/audit-news.ts';
import { useChange, useQuery } from '../../api/use-query.ts';
import { useEditedForm } from '../../changes/edited-form.tsx';
import type { Edited } from '../../changes/edited-state.ts';
import {
  DeleteWebhookDocument,
  RotateWebhookSecretDocument,
  SendTestWebhookDocument,
  UpdateWebhookDocument,
  WebhooksDocument,
  type WebhookFragment,
} from '../../generated/operations.ts';
import { Link, goTo } from '../../navigation/router.tsx';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { Fact, Facts } from '../../parts/facts.tsx';
import { keptForms } from '../../parts/kept-forms.ts';
import { FaultNotice, Loading, Page, Time } from '../../parts/parts.tsx';
import { Secret } from '../../parts/secret.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { Deliveries } from './deliveries.tsx';
import { WebhookBadge } from './webhook-badge.tsx';
import { webhookContentOf, webhookDraftOf, type WebhookDraft } from './webhook-draft.ts';
import { WebhookForm } from './webhook-form.tsx';

const USUAL_OVERLAP_HOURS = 24;

interface PartProps {
  readonly webhook: WebhookFragment;
  readonly done: () => void;
}

function RotateButton({ webhook: { id, name }, done }: PartProps) {
  const { words, own } = useAdministrationWords();
  const [open, setOpen] = useState(false);
  const [hours, setHours] = useState(String(USUAL_OVERLAP_HOURS));
  const [secret, setSecret] = useState<string | null>(null);
  const [rotate, { sending, fault, forget }] = useChange(RotateWebhookSecretDocument, ({ rotateWebhookSecret }) => {
    setSecret(rotateWebhookSecret.secret);
    done();
  });
  const close = () => {
    setOpen(false);
    setSecret(null);
    forget();
  };
  return (
    <>
      <button type="button" class="button" onClick={() => setOpen(true)}>
        {own.rotateSecret}
      </button>
      {open && secret === null && (
        <ConfirmDialog
          title={own.rotateSecretOf(name)}
          action={own.rotateSecret}
          sending={sending}
          fault={fault}
          confirm={() => rotate({ id, overlapHours: Number(hours) })}
          close={close}
        >
          <p>{own.rotateSecretLead}</p>
          <TextField
            label={own.overlapHours}
            hint={own.overlapHoursHint}
            type="number"
            min={0}
            max={168}
            value={hours}
            onType={setHours}
            required
          />
        </ConfirmDialog>
      )}
      {secret !== null && (
        <Dialog title={own.rotateSecret} onClose={close}>
          <Secret label={own.webhookSecret} hint={own.webhookSecretOnce} secret={secret} copyWords={words.copying} />
          <div class="buttons">
            <button type="button" class="button" onClick={close}>
              {words.close}
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}

function DeleteButton({ webhook: { id, name } }: Pick<PartProps, 'webhook'>) {
  const { own } = useAdministrationWords();
  const [open, setOpen] = useState(false);
  const [remove, { sending, fault, forget }] = useChange(DeleteWebhookDocument, () =>
    goTo('/webhooks?deleted', { replace: true }),
  );
  return (
    <>
      <button type="button" class="button button-kill" onClick={() => setOpen(true)}>
        {own.deleteWebhook}
      </button>
      {open && (
        <ConfirmDialog
          title={own.deleteWebhookOf(name)}
          action={own.deleteWebhook}
          danger
          sending={sending}
          fault={fault}
          confirm={() => remove({ id })}
          close={() => {
            setOpen(false);
            forget();
          }}
        >
          <p>{own.deleteWebhookLead}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

/** The forms of webhooks that were left. */
const leftForms = keptForms<Edited<WebhookFragment, WebhookDraft>>();

function ChangeForm({ webhook, done, refresh }: PartProps & { readonly refresh: () => void }) {
  const { words, own } = useAdministrationWords();
  const [save, change] = useChange(UpdateWebhookDocument, ({ updateWebhook }) => {
    edited.settle(updateWebhook);
    done();
  });
  const edited = useEditedForm<WebhookFragment, WebhookDraft>({
    ...{ leftForms, about: webhook.id, now: webhook, draftOf: webhookDraftOf, change, refresh },
    contentOf: (one) => webhookContentOf(one, words, own),
    fresh: () => webhookDraftOf(null),
  });
  const { updatedAt: expectedUpdatedAt } = edited.seen ?? webhook;
  return (
    <section class="panel" aria-labelledby="change-title">
      <h2 id="change-title">{own.changeWebhook}</h2>
      <WebhookForm
        edited={edited}
        action={own.saveChanges}
        sending={change.sending}
        fault={change.fault}
        send={(input) => save({ id: webhook.id, input, expectedUpdatedAt })}
      />
    </section>
  );
}

/** The page of one webhook. */
export function WebhookPage({ id }: { readonly id: string }) {
  const { words, own } = useAdministrationWords();
  const { data, fault, refresh } = useQuery(WebhooksDocument, {});
  useAuditNews((action) => action.includes('WEBHOOK') && refresh());
  const [told, setTold] = useState<string | null>(null);
  const [round, setRound] = useState(0);
  const [test, testing] = useChange(SendTestWebhookDocument, () => {
    setTold(own.testSent);
    setRound((before) => before + 1);
  });
  const [change, changing] = useChange(UpdateWebhookDocument, () => {
    setTold(own.saved);
    refresh();
  });
  const webhook = data?.webhooks.find((one) => one.id === id) ?? null;
  if (webhook === null)
    return (
      <Page title={words.webhooks}>
        {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
        {data === null && fault === null && <Loading />}
        {data !== null && (
          <p class="empty">
            {own.noSuchWebhook} <Link to="/webhooks">{own.toWebhooks}</Link>
          </p>
        )}
      </Page>
    );
  const { name, url, kinds, environments, enabled, disabledReason, failingSince, previousSecretUntil } = webhook;
  return (
    <Page
      title={name}
      beside={
        <button type="button" class="button button-main" disabled={testing.sending} onClick={() => test({ id })}>
          {own.sendTest}
        </button>
      }
    >
      <p class={told === null ? 'hidden' : 'notice'} role="status">
        {told}
      </p>
      {[fault, testing.fault, changing.fault].map(
        (one, index) => one !== null && <FaultNotice key={index} fault={one} />,
      )}
      {!enabled && (
        <p class={disabledReason === null ? 'notice' : 'notice notice-fault'}>
          {disabledReason === null ? (
            own.webhookOff
          ) : (
            <span>
              {own.webhookDisabled} <span lang="en">{disabledReason}</span>
            </span>
          )}
        </p>
      )}
      <Facts>
        <Fact name={own.webhookAddress}>
          <span class="breaking">{url}</span>
        </Fact>
        <Fact name={words.state}>
          <WebhookBadge webhook={webhook} />
        </Fact>
        {failingSince !== null && (
          <Fact name={own.failingSince}>
            <Time at={failingSince} />
          </Fact>
        )}
        <Fact name={own.webhookKinds}>{kinds.map((kind) => own.kindNames[kind]).join(', ')}</Fact>
        <Fact name={own.webhookEnvironments}>
          {environments.length === 0
            ? own.allEnvironments
            : environments.map((environment) => words.environments[environment]).join(', ')}
        </Fact>
        <Fact name={own.createdBy}>
          {webhook.createdBy?.name ?? words.unknown} · <Time at={webhook.createdAt} />
        </Fact>
        {previousSecretUntil !== null && (
          <Fact name={own.previousSecretUntil}>
            <Time at={previousSecretUntil} />
          </Fact>
        )}
      </Facts>
      <div class="buttons">
        <button
          type="button"
          class="button"
          disabled={changing.sending}
          onClick={() => change({ id, input: { enabled: !enabled } })}
        >
          {enabled ? own.switchOff : own.switchOn}
        </button>
        <RotateButton webhook={webhook} done={refresh} />
        <DeleteButton webhook={webhook} />
      </div>
      <Deliveries webhookId={id} round={round} />
      <ChangeForm
        webhook={webhook}
        refresh={refresh}
        done={() => {
          setTold(own.webhookChanged);
          refresh();
        }}
      />
    </Page>
  );
}
