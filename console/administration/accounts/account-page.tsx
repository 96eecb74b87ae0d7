/** One account: what is known of it, its name, role and department, and whether it is active. */
import { useState } from 'preact/hooks';
import { useAuditNews } from '../../api/audit-news.ts';
import { faultsAt } from '../../api/fault.ts';
import { useChange, useQuery } from '../../api/use-query.ts';
import { EditedNotices, useEditedForm } from '../../changes/edited-form.tsx';
import type { Edited } from '../../changes/edited-state.ts';
import {
  OneAccountDocument,
  UpdateAccountDocument,
  type AccountFragment,
  type OneAccountQuery,
  type UpdateAccountMutation,
} from '../../generated/operations.ts';
import { textAt } from '../../json.ts';
import type { TargetedSubmitEvent } from '../../navigation/events.ts';
import { flagPath, withQuery } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { Fact, Facts } from '../../parts/facts.tsx';
import { keptForms } from '../../parts/kept-forms.ts';
import { Badge, FaultNotice, Loading, Page, Time } from '../../parts/parts.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { RoleField } from '../role-field.tsx';
import { accountDraftOf, changedAccountMembers, type AccountDraft } from './account-draft.ts';
import { ROLES } from './accounts-page.tsx';

/** Says whether a node is an account, and not another thing with an id. */
const isAccount = (node: OneAccountQuery['node'] | undefined): node is AccountFragment =>
  node !== null && node !== undefined && 'email' in node;
type Changed = UpdateAccountMutation['updateUser'];

/** Lists the change requests and rollouts that a change of the account has ended. */
function EndedPlans({ changed }: { readonly changed: Changed }) {
  const { words, own, formats } = useAdministrationWords();
  const requests = changed.cancelledChangeRequests ?? [];
  const rollouts = changed.pausedRollouts ?? [];
  if (requests.length === 0 && rollouts.length === 0) return <p class="quiet">{own.nothingEnded}</p>;
  return (
    <section class="panel" aria-labelledby="ended-title">
      <h2 id="ended-title">{own.endedWithIt}</h2>
      {requests.length > 0 && (
        <>
          <h3>{own.endedRequests}</h3>
          <ul>
            {requests.map(({ id, action, flag }) => (
              <li key={id}>
                {textAt(words.actions, action) ?? action}: <Link to={flagPath(flag.key)}>{flag.name}</Link>
              </li>
            ))}
          </ul>
        </>
      )}
      {rollouts.length > 0 && (
        <>
          <h3>{own.endedRollouts}</h3>
          <ul>
            {rollouts.map(({ id, currentPercentage, pausedReason }) => (
              <li key={id}>
                {own.rolloutAt(formats.percent(currentPercentage))} <span lang="en">{pausedReason}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

interface AccountProps {
  readonly account: AccountFragment;
  readonly done: (changed: Changed) => void;
}

/** The forms of accounts that were left. */
const leftForms = keptForms<Edited<AccountFragment, AccountDraft>>();

function AccountForm({ account, done, refresh }: AccountProps & { readonly refresh: () => void }) {
  const { words, own } = useAdministrationWords();
  const [save, change] = useChange(UpdateAccountDocument, ({ updateUser }) => {
    edited.settle(updateUser);
    done(updateUser);
  });
  const { sending, fault } = change;
  const edited = useEditedForm<AccountFragment, AccountDraft>({
    ...{ leftForms, about: account.id, now: account, draftOf: accountDraftOf, change, refresh },
    contentOf: ({ name, role, department }) => ({ name, role, department }),
    fresh: () => accountDraftOf(account),
  });
  const { name, role, department } = edited.draft;
  const seen = edited.seen ?? account;
  const choose = (next: Partial<AccountDraft>) => edited.choose({ ...edited.draft, ...next });
  const [wrongName, wrongDepartment] = faultsAt(fault, 'input.name', 'input.department');
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    save({
      id: account.id,
      input: changedAccountMembers(edited.draft, seen),
      expectedUpdatedAt: seen.updatedAt,
    });
  };
  return (
    <section class="panel" aria-labelledby="change-title">
      <h2 id="change-title">{own.changeAccount}</h2>
      <EditedNotices form={edited} title={own.accountChangedMeanwhile} />
      <form class="form" onSubmit={submit}>
        <TextField
          label={words.fields.name}
          value={name}
          onType={(next) => choose({ name: next })}
          required
          maxLength={100}
          wrong={wrongName}
        />
        <RoleField roles={ROLES} role={role} onChoose={(next) => choose({ role: next })} />
        {role !== seen.role && <p class="notice">{own.anotherRoleEnds}</p>}
        <TextField
          label={words.fields.department}
          hint={own.departmentHint}
          value={department}
          onType={(next) => choose({ department: next })}
          maxLength={100}
          wrong={wrongDepartment}
        />
        {fault !== null && <FaultNotice fault={fault} />}
        <button type="submit" class="button button-main" disabled={sending || edited.hasChanged}>
          {own.saveChanges}
        </button>
      </form>
    </section>
  );
}

/** Deactivates the account, after saying what that ends, or activates it again. */
function ActiveButton({ account, done }: AccountProps) {
  const { own } = useAdministrationWords();
  const [open, setOpen] = useState(false);
  const [save, { sending, fault, forget }] = useChange(UpdateAccountDocument, ({ updateUser }) => {
    setOpen(false);
    done(updateUser);
  });
  const close = () => {
    setOpen(false);
    forget();
  };
  if (!account.isActive)
    return (
      <>
        {fault !== null && <FaultNotice fault={fault} />}
        <button
          type="button"
          class="button"
          disabled={sending}
          onClick={() => save({ id: account.id, input: { isActive: true } })}
        >
          {own.reactivate}
        </button>
      </>
    );
  return (
    <>
      <button type="button" class="button button-kill" onClick={() => setOpen(true)}>
        {own.deactivate}
      </button>
      {open && (
        <ConfirmDialog
          title={own.deactivateAccount(account.name)}
          action={own.deactivate}
          danger
          sending={sending}
          fault={fault}
          confirm={() => save({ id: account.id, input: { isActive: false } })}
          close={close}
        >
          <p>{own.deactivateLead}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

/** The page of one account. */
export function AccountPage({ id }: { readonly id: string }) {
  const { words, own } = useAdministrationWords();
  const { data, fault, refresh } = useQuery(OneAccountDocument, { id });
  useAuditNews((action) => /USER|SIGN_IN$/.test(action) && refresh());
  const [told, setTold] = useState<{ readonly text: string; readonly changed: Changed | null } | null>(null);
  const account = isAccount(data?.node) ? data.node : null;
  if (account === null)
    return (
      <Page title={words.accounts}>
        {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
        {data === null && fault === null && <Loading />}
        {data !== null && (
          <p class="empty">
            {own.noSuchAccount} <Link to="/accounts">{own.toAccounts}</Link>
          </p>
        )}
      </Page>
    );
  const { name, email, role, department, isActive, lastLoginAt, createdAt } = account;
  const tell = (text: string, changed: Changed | null) => {
    setTold({ text, changed });
    refresh();
  };
  return (
    <Page
      title={name}
      beside={
        <ActiveButton
          account={account}
          done={(changed) =>
            changed.isActive ? tell(own.reactivated(changed.name), null) : tell(own.deactivated(changed.name), changed)
          }
        />
      }
    >
      <p class={told === null ? 'hidden' : 'notice'} role="status">
        {told?.text}
      </p>
      {told !== null && told.changed !== null && <EndedPlans changed={told.changed} />}
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      <Facts>
        <Fact name={words.email}>{email}</Fact>
        <Fact name={own.role}>{words.roles[role]}</Fact>
        <Fact name={words.fields.department}>{department ?? words.nothing}</Fact>
        <Fact name={words.state}>
          <Badge tone={isActive ? 'accent' : 'faint'}>{own.accountStates[isActive ? 'active' : 'inactive']}</Badge>
        </Fact>
        <Fact name={own.lastSignIn}>{lastLoginAt === null ? words.never : <Time at={lastLoginAt} />}</Fact>
        <Fact name={own.accountSince}>
          <Time at={createdAt} />
        </Fact>
      </Facts>
      <p>
        <Link to={withQuery('/audit', { person: id })}>{own.whatTheyDid}</Link>
      </p>
      <AccountForm
        account={account}
        refresh={refresh}
        done={(changed) =>
          tell(
            own.saved,
            (changed.cancelledChangeRequests?.length ?? 0) + (changed.pausedRollouts?.length ?? 0) > 0 ? changed : null,
          )
        }
      />
    </Page>
  );
}
