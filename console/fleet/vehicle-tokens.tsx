/** The tokens by which a vehicle's agent signs in: a new one is issued, and all of them are revoked. */
import { useState } from 'preact/hooks';
import { faultsAt } from '../api/fault.ts';
import { ENVIRONMENTS } from '../api/environments.ts';
import { useChange } from '../api/use-query.ts';
import {
  IssueTokenDocument,
  RevokeTokensDocument,
  type Environment,
  type IssueTokenMutation,
} from '../generated/operations.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { ConfirmDialog } from '../parts/confirm-dialog.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { FaultNotice, Time } from '../parts/parts.tsx';
import { Secret } from '../parts/secret.tsx';
import { Select } from '../parts/select.tsx';
import { TextField } from '../parts/text-field.tsx';
import { useWords } from '../words/language.ts';

const USUAL_DAYS = 365;
const MAX_DAYS = 3_650;

type Issued = IssueTokenMutation['issueVehicleToken'];

interface TokensProps {
  readonly vin: string;
  /** The environment to which the vehicle belongs; null before its first token. */
  readonly environment: Environment | null;
  /** Called after a change. */
  readonly done: () => void;
}

function IssueDialog({ vin, environment: present, done, close }: TokensProps & { readonly close: () => void }) {
  const { words } = useWords();
  const [environment, setEnvironment] = useState<Environment>(present ?? 'PRODUCTION');
  const [days, setDays] = useState(String(USUAL_DAYS));
  const [issued, setIssued] = useState<Issued | null>(null);
  const [issue, { sending, fault }] = useChange(IssueTokenDocument, ({ issueVehicleToken }) => {
    setIssued(issueVehicleToken);
    done();
  });
  const [wrongDays] = faultsAt(fault, 'expiresInDays');
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    issue({ vin, environment, expiresInDays: Number(days) });
  };
  if (issued !== null)
    return (
      <Dialog title={words.tokenIssued} onClose={close}>
        <Secret label={words.token} hint={words.tokenOnce} secret={issued.token} copyWords={words.copying} />
        <p class="quiet">
          {words.tokenExpires} <Time at={issued.expiresAt} />
        </p>
        <div class="buttons">
          <button type="button" class="button" onClick={close}>
            {words.close}
          </button>
        </div>
      </Dialog>
    );
  return (
    <Dialog title={words.issueToken} onClose={close}>
      <p>{words.issueTokenLead}</p>
      <form class="form" onSubmit={submit}>
        <Select
          label={words.environment}
          value={environment}
          options={ENVIRONMENTS.map((one) => [one, words.environments[one]])}
          onChoose={(next) => next !== null && setEnvironment(next)}
        />
        {present !== null && environment !== present && <p class="notice">{words.otherEnvironment}</p>}
        <TextField
          label={words.daysValid}
          type="number"
          min={1}
          max={MAX_DAYS}
          value={days}
          onType={setDays}
          required
          wrong={wrongDays}
        />
        {fault !== null && <FaultNotice fault={fault} />}
        <div class="buttons">
          <button type="submit" class="button button-main" disabled={sending}>
            {words.issueToken}
          </button>
          <button type="button" class="button" onClick={close}>
            {words.cancel}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** The buttons that issue a token to a vehicle and revoke all of its tokens. */
export function VehicleTokens(props: TokensProps) {
  const { vin, done } = props;
  const { words } = useWords();
  const [open, setOpen] = useState<'issue' | 'revoke' | null>(null);
  const [isRevoked, setRevoked] = useState(false);
  const close = () => setOpen(null);
  const [revoke, { sending, fault, forget }] = useChange(RevokeTokensDocument, () => {
    close();
    setRevoked(true);
    done();
  });
  return (
    <section class="panel" aria-labelledby="tokens-title">
      <h2 id="tokens-title">{words.tokens}</h2>
      <p class="quiet">{words.tokensLead}</p>
      <p class={isRevoked ? 'notice' : 'hidden'} role="status">
        {isRevoked && words.tokensRevoked}
      </p>
      <div class="buttons">
        <button type="button" class="button" onClick={() => setOpen('issue')}>
          {words.issueToken}
        </button>
        <button type="button" class="button button-kill" onClick={() => setOpen('revoke')}>
          {words.revokeTokens}
        </button>
      </div>
      {open === 'issue' && <IssueDialog {...props} close={close} />}
      {open === 'revoke' && (
        <ConfirmDialog
          title={words.revokeTokensOf(vin)}
          action={words.revokeTokens}
          danger
          sending={sending}
          fault={fault}
          confirm={() => revoke({ vin })}
          close={() => {
            close();
            forget();
          }}
        >
          <p>{words.revokeTokensLead}</p>
        </ConfirmDialog>
      )}
    </section>
  );
}
