/** One API key: what is known of it, the operations that it may run, and its revocation. */
import { useState } from 'preact/hooks';
import { presentTime } from '../../api/clock.ts';
import { useAuditNews } from '../../api/audit-news.ts';
import { useChange, useQuery } from '../../api/use-query.ts';
import { KeysAndOperationsDocument, RevokeKeyDocument, type KeyFragment } from '../../generated/operations.ts';
import { operationPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { Fact, Facts } from '../../parts/facts.tsx';
import { FaultNotice, Loading, Page, Time } from '../../parts/parts.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { KeyBadge } from './key-badge.tsx';
import { keyState } from './key-state.ts';

function RevokeButton({ apiKey, done }: { readonly apiKey: KeyFragment; readonly done: () => void }) {
  const { own } = useAdministrationWords();
  const [open, setOpen] = useState(false);
  const [revoke, { sending, fault, forget }] = useChange(RevokeKeyDocument, () => {
    setOpen(false);
    done();
  });
  return (
    <>
      <button type="button" class="button button-kill" onClick={() => setOpen(true)}>
        {own.revoke}
      </button>
      {open && (
        <ConfirmDialog
          title={own.revokeKey(apiKey.name)}
          action={own.revoke}
          danger
          sending={sending}
          fault={fault}
          confirm={() => revoke({ id: apiKey.id })}
          close={() => {
            setOpen(false);
            forget();
          }}
        >
          <p>{own.revokeLead}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

interface Operation {
  readonly id: string;
  readonly name: string;
}

function OperationList({ operations }: { readonly operations: readonly Operation[] }) {
  return (
    <ul class="operation-list">
      {operations.map(({ id, name }) => (
        <li key={id}>
          <Link to={operationPath(id)}>{name}</Link>
        </li>
      ))}
    </ul>
  );
}

/** The page of one API key. */
export function KeyPage({ id }: { readonly id: string }) {
  const { words, own, formats } = useAdministrationWords();
  const { data, fault, refresh } = useQuery(KeysAndOperationsDocument, {});
  useAuditNews((action) => /API_KEY$|^REGISTER_OPERATIONS$/.test(action) && refresh());
  const [isRevoked, setRevoked] = useState(false);
  const key = data?.apiKeys.find((one) => one.id === id) ?? null;
  if (data === null || key === null)
    return (
      <Page title={words.apiKeys}>
        {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
        {data === null && fault === null && <Loading />}
        {data !== null && (
          <p class="empty">
            {own.noSuchKey} <Link to="/keys">{own.toKeys}</Link>
          </p>
        )}
      </Page>
    );
  const isValid = keyState(key, presentTime()) === 'valid';
  const bound = data.persistedOperations.filter(({ apiKeys }) => apiKeys.some((one) => one.id === id));
  const unbound = data.persistedOperations.filter(({ apiKeys }) => apiKeys.length === 0);
  return (
    <Page
      title={key.name}
      beside={
        key.isActive ? (
          <RevokeButton
            apiKey={key}
            done={() => {
              setRevoked(true);
              refresh();
            }}
          />
        ) : undefined
      }
    >
      <p class={isRevoked ? 'notice' : 'hidden'} role="status">
        {isRevoked && own.keyRevoked(key.name)}
      </p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      <Facts>
        <Fact name={own.keyPrefix}>
          <code>{key.keyPrefix}</code>
        </Fact>
        <Fact name={words.state}>
          <KeyBadge apiKey={key} />
        </Fact>
        <Fact name={own.role}>{words.roles[key.role]}</Fact>
        <Fact name={own.rateLimit}>{own.perMinute(formats.number(key.rateLimitPerMin))}</Fact>
        <Fact name={own.lastUsed}>{key.lastUsedAt === null ? words.never : <Time at={key.lastUsedAt} />}</Fact>
        <Fact name={own.expires}>{key.expiresAt === null ? own.expiresNever : <Time at={key.expiresAt} />}</Fact>
        <Fact name={own.createdBy}>
          {key.createdBy?.name ?? own.onTheServer} · <Time at={key.createdAt} />
        </Fact>
      </Facts>
      <section class="panel" aria-labelledby="may-run-title">
        <h2 id="may-run-title">{own.mayRun}</h2>
        {!isValid && <p class="notice">{own.keyFault}</p>}
        <h3>{own.boundToIt}</h3>
        {bound.length === 0 ? <p class="quiet">{own.noneBound}</p> : <OperationList operations={bound} />}
        {unbound.length > 0 && (
          <>
            <h3>{own.boundToNone}</h3>
            <p class="quiet">{own.boundToNoneLead}</p>
            <OperationList operations={unbound} />
          </>
        )}
      </section>
    </Page>
  );
}
