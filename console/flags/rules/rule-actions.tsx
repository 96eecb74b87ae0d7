/** The acts on a rule where it stands in the list: change, move, switch, delete; each shows first what it does. */
import { useState } from 'preact/hooks';
import { useChange } from '../../api/use-query.ts';
import { ChangeAudience } from '../../changes/change-audience.tsx';
import { ConfirmChange } from '../../changes/confirm-change.tsx';
import { ConflictNotice } from '../../changes/conflict-notice.tsx';
import { contentOf, fixedState, type Flag } from '../../changes/flag-content.ts';
import { publishChange, useBase } from '../form/edited-flag.tsx';
import {
  DeleteRuleDocument,
  ReorderRulesDocument,
  UpdateRuleDocument,
  type ChangedFragment,
  type ProposedChangeInput,
} from '../../generated/operations.ts';
import { membersOf } from '../../json.ts';
import { flagPath } from '../../navigation/paths.ts';
import { Offer } from '../../parts/offer.tsx';
import { ReasonField } from '../../parts/reason-field.tsx';
import { mayNot, sessionState } from '../../session/session.ts';
import { useStore } from '../../store.ts';
import { useWords } from '../../words/language.ts';
import { movedOrder, triedOrder } from './rule-order.ts';

type Rule = Flag['rules'][number];
type Act = 'up' | 'down' | 'switch' | 'delete';

/** Whether the rule holds its flag. */
const holds = ({ type, enabled, conditions }: Rule) =>
  type === 'KILL_SWITCH' && enabled && membersOf(conditions)['force_disabled'] === true;

/** Asks whether to do it, with who would get what after it. */
function RuleActDialog({
  act,
  rule,
  flag,
  onClose,
}: {
  readonly act: Act;
  readonly rule: Rule;
  readonly flag: Flag;
  readonly onClose: () => void;
}) {
  const { words } = useWords();
  const [reason, setReason] = useState('');
  const done = (payload: ChangedFragment) => {
    publishChange(payload);
    onClose();
  };
  const [update, updating] = useChange(UpdateRuleDocument, ({ updateRule }) => done(updateRule));
  const [remove, removing] = useChange(DeleteRuleDocument, ({ deleteRule }) => done(deleteRule));
  const [reorder, reordering] = useChange(ReorderRulesDocument, ({ reorderRules }) => done(reorderRules));
  const { sending, fault } = { up: reordering, down: reordering, switch: updating, delete: removing }[act];
  const { base, revision, hasChanged, adopt } = useBase(flag, fault);
  const isMove = act === 'up' || act === 'down';
  // The state that this person asked for: somebody else may have switched or moved the same rule meanwhile.
  const order = isMove ? (movedOrder(base.rules, rule.id, act) ?? triedOrder(base.rules)) : null;
  const [enabled] = useState(!rule.enabled);
  const releases = holds(rule) && (act === 'delete' || (act === 'switch' && !enabled));
  const pulls = act === 'switch' && enabled && holds({ ...rule, enabled });
  const input = { enabled };
  const change: ProposedChangeInput =
    order !== null
      ? { reorderRules: order }
      : act === 'delete'
        ? { deleteRule: rule.id }
        : { updateRule: { id: rule.id, input } };
  const why = releases ? { reason: reason.trim() } : {};
  const titles: Readonly<Record<Act, string>> = {
    up: words.forms.moveUp,
    down: words.forms.moveDown,
    switch: enabled ? words.forms.switchRuleOn : words.forms.switchRuleOff,
    delete: words.forms.deleteRule,
  };
  const leads: Readonly<Record<Act, string>> = {
    up: words.forms.moveLead,
    down: words.forms.moveLead,
    switch: pulls ? words.forms.killsAtOnce : releases ? words.forms.releases : words.ruleTypes[rule.type],
    delete: releases ? words.forms.releases : words.forms.deleteRuleLead,
  };
  return (
    <ConfirmChange
      title={titles[act]}
      lead={leads[act]}
      waits={flag.safetyLevel === 'ASIL_D' && !pulls}
      disabled={releases && reason.trim() === ''}
      conflict={
        hasChanged ? <ConflictNotice base={contentOf(base)} now={contentOf(flag)} apply={adopt} isOfAct /> : null
      }
      sending={sending}
      fault={fault}
      onClose={onClose}
      send={(force) => {
        if (order !== null) reorder({ flagKey: flag.key, ruleIds: order, expectedRevision: revision, force });
        else if (act === 'delete') remove({ id: rule.id, expectedRevision: revision, force, ...why });
        else update({ id: rule.id, input, expectedRevision: revision, force, ...why });
      }}
    >
      {releases && (
        <ReasonField
          label={words.forms.releaseReason}
          hint={words.forms.releaseReasonHint}
          value={reason}
          onType={setReason}
        />
      )}
      <ChangeAudience flag={flag} change={change} />
    </ConfirmChange>
  );
}

/** @param name the rule's name for screen readers, which hear the buttons of all rules one after the other */
export function RuleActions({ rule, flag, name }: { readonly rule: Rule; readonly flag: Flag; readonly name: string }) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const [act, setAct] = useState<Act | null>(null);
  const fixed = fixedState(flag);
  const refused = mayNot(session, 'change', words) ?? (fixed === null ? null : words.forms[fixed]);
  const whyNotMoved = (by: 'up' | 'down') => {
    if (refused !== null || movedOrder(flag.rules, rule.id, by) !== null) return refused;
    return by === 'up' ? words.forms.isFirst : words.forms.isLast;
  };
  const toSwitch = rule.enabled ? words.forms.switchRuleOff : words.forms.switchRuleOn;
  return (
    <div class="buttons rule-actions">
      <Offer
        why={refused}
        class="button button-small"
        label={words.forms.editRule(name)}
        to={flagPath(flag.key, `/rules/${rule.id}`)}
      >
        {words.forms.edit}
      </Offer>
      {rule.type !== 'KILL_SWITCH' && (
        <>
          <Offer
            why={whyNotMoved('up')}
            class="button button-small"
            label={words.forms.moveRuleUp(name)}
            onClick={() => setAct('up')}
          >
            {words.forms.moveUp}
          </Offer>
          <Offer
            why={whyNotMoved('down')}
            class="button button-small"
            label={words.forms.moveRuleDown(name)}
            onClick={() => setAct('down')}
          >
            {words.forms.moveDown}
          </Offer>
        </>
      )}
      <Offer
        why={refused}
        class="button button-small"
        label={words.forms.switchRule(toSwitch, name)}
        onClick={() => setAct('switch')}
      >
        {toSwitch}
      </Offer>
      <Offer
        why={refused}
        class="button button-small"
        label={words.forms.deleteThisRule(name)}
        onClick={() => setAct('delete')}
      >
        {words.forms.deleteRule}
      </Offer>
      {act !== null && <RuleActDialog act={act} rule={rule} flag={flag} onClose={() => setAct(null)} />}
    </div>
  );
}
