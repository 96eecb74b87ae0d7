/** Halting, guarding and promoting the release of a flag, each after saying what it does. */
import { useState } from 'preact/hooks';
import { faultAt } from '../api/fault-fields.ts';
import { useChange } from '../api/use-query.ts';
import { publishChange } from '../flags/form/edited-flag.tsx';
import {
  HaltReleaseDocument,
  PromoteReleaseDocument,
  type ReleasePartsFragment,
  type ReleaseUnderWayQuery,
} from '../generated/operations.ts';
import { lazy } from '../navigation/lazy.tsx';
import { Offer } from '../parts/offer.tsx';
import { ReasonDialog } from '../parts/reason-dialog.tsx';
import { TextField } from '../parts/text-field.tsx';
import { typedNumber } from '../rollouts/plan.ts';
import { mayNot, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useReleaseWords } from '../words/use-release-words.ts';

/** The dialog for guards. It is loaded when it is opened, with the fields of a policy's guards. */
const GuardDialog = lazy(() => import('./guard-dialog.tsx').then((dialog) => dialog.GuardDialog));

type ReleasedFlag = NonNullable<ReleaseUnderWayQuery['flag']>;

interface ActProps {
  readonly flag: ReleasedFlag;
  readonly release: ReleasePartsFragment;
}

interface DialogProps extends ActProps {
  readonly onClose: () => void;
}

/**
 * Says that the release has changed since the dialog was opened, and offers to go on with the present one; until that
 * is seen, nothing is sent.
 */
function useSeenRelease(release: ReleasePartsFragment, isAboutShare: boolean) {
  const { texts, formats } = useReleaseWords();
  const [seen, setSeen] = useState(release);
  const changed =
    seen.id !== release.id
      ? texts.isAnother
      : isAboutShare && seen.percentage !== release.percentage
        ? texts.hasMoved(formats.percent(release.percentage))
        : null;
  const notice = changed !== null && (
    <div class="notice" role="alert">
      <p>{changed}</p>
      <button type="button" class="button" onClick={() => setSeen(release)}>
        {texts.goOn}
      </button>
    </div>
  );
  return { hasChanged: changed !== null, notice };
}

function HaltDialog({ flag, release, onClose }: DialogProps) {
  const { texts } = useReleaseWords();
  const { hasChanged, notice } = useSeenRelease(release, false);
  const [halt, { sending, fault }] = useChange(HaltReleaseDocument, ({ haltRelease }) => {
    publishChange(haltRelease);
    onClose();
  });
  return (
    <ReasonDialog
      title={texts.halt}
      button={texts.halt}
      reason="required"
      danger
      sending={sending || hasChanged}
      fault={fault}
      onClose={onClose}
      send={(reason) => halt({ flagKey: flag.key, reason: reason ?? '' })}
    >
      <p>{texts.haltLead}</p>
      <p class="quiet">{texts.haltSwitches}</p>
      {flag.activation !== 'IMMEDIATE' && <p class="notice">{texts.haltWaits}</p>}
      {notice}
    </ReasonDialog>
  );
}

function PromoteDialog({ flag, release, onClose }: DialogProps) {
  const { words, texts, formats } = useReleaseWords();
  const { hasChanged, notice } = useSeenRelease(release, true);
  const [typed, setTyped] = useState('');
  const [isWrong, setWrong] = useState(false);
  const [promote, { sending, fault, forget }] = useChange(PromoteReleaseDocument, ({ promoteRelease }) => {
    publishChange(promoteRelease);
    onClose();
  });
  const waits = flag.safetyLevel === 'ASIL_D';
  const percentage = typedNumber(typed);
  return (
    <ReasonDialog
      title={texts.promote}
      button={waits ? words.forms.request : texts.promote}
      reason="required"
      sending={sending || hasChanged}
      fault={fault}
      onClose={onClose}
      send={(reason) => {
        if (Number.isNaN(percentage)) setWrong(true);
        else promote({ flagKey: flag.key, percentage, reason: reason ?? '' });
      }}
    >
      <p>{texts.promoteLead}</p>
      {waits && <p class="notice">{words.needsSecondPerson}</p>}
      {notice}
      <TextField
        label={texts.percentage}
        hint={texts.percentageHint(formats.number(release.percentage))}
        wrong={isWrong ? words.forms.wrong.percentage : faultAt(fault, 'percentage')}
        value={typed}
        onType={(text) => {
          setTyped(text);
          setWrong(false);
          forget();
        }}
      />
    </ReasonDialog>
  );
}

/** Shows the buttons of all acts, each with the reason where it is not possible, and their dialogs. */
export function ReleaseActions({ flag, release, refresh }: ActProps & { readonly refresh: () => void }) {
  const { words, texts } = useReleaseWords();
  const { session } = useStore(sessionState);
  const [act, setAct] = useState<'halt' | 'guard' | 'promote' | null>(null);
  const held = flag.killed
    ? texts.killedHolds
    : !flag.enabled
      ? texts.disabledHolds
      : release.percentage === 100
        ? texts.isEverywhere
        : null;
  const close = () => setAct(null);
  return (
    <div class="buttons">
      <Offer why={mayNot(session, 'halt', words)} class="button button-danger" onClick={() => setAct('halt')}>
        {texts.halt}
      </Offer>
      <Offer why={mayNot(session, 'guard', words)} onClick={() => setAct('guard')}>
        {texts.addGuards}
      </Offer>
      <Offer why={mayNot(session, 'promote', words) ?? held} onClick={() => setAct('promote')}>
        {texts.promote}
      </Offer>
      {act === 'halt' && <HaltDialog flag={flag} release={release} onClose={close} />}
      {act === 'guard' && <GuardDialog flagKey={flag.key} onClose={close} onDone={refresh} />}
      {act === 'promote' && <PromoteDialog flag={flag} release={release} onClose={close} />}
    </div>
  );
}
