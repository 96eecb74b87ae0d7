/**
 * Notifies webhooks of what the audit log records. Every such row does so by itself, whichever code writes it, so that
 * no future way to pull a kill switch can forget it.
 */
import { isJsonObject } from '../../../core/json/json-value.ts';
import type { JsonObject, JsonValue } from '../../../core/model.ts';
import type { Transaction } from '../postgres/transaction.ts';
import { flagNotice, notifyOfFlags, type FlagNotice } from './outbox.ts';

/** The part of an audit row from which an event is made. */
export interface AuditedAct {
  readonly action: string;
  readonly flagId: string | null;
  readonly after: JsonValue;
  readonly userId: string | null;
  readonly apiKeyId: string | null;
}

const DECISIONS: Readonly<Record<string, 'approved' | 'rejected' | 'cancelled'>> = {
  APPROVE_CHANGE: 'approved',
  REJECT_CHANGE: 'rejected',
  CANCEL_CHANGE: 'cancelled',
};

/** The outcomes of rollouts that stopped without anybody asking for it, by the action that the log records. */
const HALTS: Readonly<Record<string, string>> = {
  GUARD_ROLLOUT: 'pulled_back',
  PAUSE_ROLLOUT: 'paused',
  CANCEL_ROLLOUT: 'cancelled',
};

const text = (values: JsonObject, name: string) => {
  const value = values[name];
  return typeof value === 'string' ? value : null;
};

/** Writes the deliveries of those acts that webhooks get. */
export const notifyOfActs = (tx: Transaction, acts: readonly AuditedAct[]): Promise<void> =>
  notifyOfFlags(
    tx,
    acts.flatMap((act) => noticeOf(act) ?? []),
  );

/** Gives the notice of an act; null where webhooks get none of it. */
function noticeOf({ action, flagId, after, userId, apiKeyId }: AuditedAct): FlagNotice | null {
  if (flagId === null) return null;
  const values: JsonObject = isJsonObject(after) ? after : {};
  const reason = text(values, 'reason');
  switch (action) {
    case 'REQUEST_CHANGE': {
      const changeRequestId = text(values, 'changeRequest') ?? '';
      const data = { changeRequestId, action: text(values, 'action') ?? '', requestedById: userId ?? '' };
      return flagNotice('change_request.waiting', flagId, data, changeRequestId);
    }
    case 'APPROVE_CHANGE':
    case 'REJECT_CHANGE':
    case 'CANCEL_CHANGE': {
      const changeRequestId = text(values, 'changeRequest') ?? '';
      const data = {
        changeRequestId,
        action: text(values, 'action') ?? '',
        requestedById: text(values, 'requestedBy') ?? '',
        userId,
        comment: text(values, 'comment') ?? reason,
      };
      return flagNotice(`change_request.${DECISIONS[action] ?? 'cancelled'}`, flagId, data, changeRequestId);
    }
    case 'KILL_SWITCH':
      return flagNotice('kill_switch.pulled', flagId, { userId, apiKeyId, reason });
    case 'RELEASE_KILL_SWITCH':
      return flagNotice('kill_switch.released', flagId, { userId, apiKeyId, reason });
    case 'HALT_RELEASE': {
      const data = { userId, apiKeyId, releaseId: text(values, 'release') ?? '', reason: reason ?? '' };
      return flagNotice('release.halted', flagId, data);
    }
    case 'GUARD_ROLLOUT':
    case 'PAUSE_ROLLOUT':
    case 'CANCEL_ROLLOUT': {
      // People pause and end rollouts, too. A guard's act records what the guard has found, any other is `automatic`.
      if (!('verdict' in values) && values['automatic'] !== true) return null;
      const data = {
        rolloutId: text(values, 'rollout') ?? '',
        ruleId: text(values, 'rule') ?? '',
        outcome: HALTS[action] ?? 'paused',
        reason: reason ?? '',
      };
      return flagNotice('rollout.halted', flagId, data);
    }
    default:
      return null;
  }
}
