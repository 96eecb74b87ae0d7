/** The acts on a flag: switch it, change it, archive it, bring it back. */
import { useState } from 'preact/hooks';
import { useChange } from '../api/use-query.ts';
import { ChangeAudience } from '../changes/change-audience.tsx';
import { ConfirmChange } from '../changes/confirm-change.tsx';
import { ConflictNotice } from '../changes/conflict-notice.tsx';
import { contentOf, fixedState, type Flag } from '../changes/flag-content.ts';
import {
  ArchiveFlagDocument,
  DisableFlagDocument,
  EnableFlagDocument,
  UnarchiveFlagDocument,
  type ChangedFragment,
  type ProposedChangeInput,
} from '../generated/operations.ts';
import { flagPath } from '../navigation/paths.ts';
import { Offer } from '../parts/offer.tsx';
import { mayNot, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';
import { publishChange, useBase } from './form/edited-flag.tsx';

type Act = 'enable' | 'disable' | 'archive' | 'unarchive';

const CHANGES: Readonly<Record<Act, ProposedChangeInput>> = {
  enable: { enabled: true },
  disable: { enabled: false },
  archive: { archived: true },
  unarchive: { archived: false },
};

function FlagActDialog({
  act,
  flag,
  onClose,
}: {
  readonly act: Act;
  readonly flag: Flag;
  readonly onClose: () => void;
}) {
  const { words } = useWords();
  const done = (payload: ChangedFragment) => {
    publishChange(payload);
    onClose();
  };
  const [enable, enabling] = useChange(EnableFlagDocument, ({ enableFlag }) => done(enableFlag));
  const [disable, disabling] = useChange(DisableFlagDocument, ({ disableFlag }) => done(disableFlag));
  const [archive, archiving] = useChange(ArchiveFlagDocument, ({ archiveFlag }) => done(archiveFlag));
  const [unarchive, unarchiving] = useChange(UnarchiveFlagDocument, ({ unarchiveFlag }) => done(unarchiveFlag));
  const { sending, fault } = { enable: enabling, disable: disabling, archive: archiving, unarchive: unarchiving }[act];
  const { base, revision, hasChanged, adopt } = useBase(flag, fault);
  const common = { key: flag.key, expectedRevision: revision };
  const { title, lead } = {
    enable: { title: words.enableFlag, lead: words.enableFlagLead },
    disable: { title: words.disableFlag, lead: words.disableFlagLead },
    archive: { title: words.forms.archive, lead: words.forms.archiveLead },
    unarchive: { title: words.forms.unarchive, lead: words.forms.unarchiveLead },
  }[act];
  return (
    <ConfirmChange
      title={title}
      lead={lead}
      waits={flag.safetyLevel === 'ASIL_D'}
      conflict={
        hasChanged ? <ConflictNotice base={contentOf(base)} now={contentOf(flag)} apply={adopt} isOfAct /> : null
      }
      sending={sending}
      fault={fault}
      onClose={onClose}
      send={(force) => {
        if (act === 'archive') archive({ ...common, force });
        else ({ enable, disable, unarchive })[act](common);
      }}
    >
      {act === 'enable' && flag.release != null && <p class="notice">{words.beginsAnotherRelease}</p>}
      <ChangeAudience flag={flag} change={CHANGES[act]} />
    </ConfirmChange>
  );
}

/** Shows the buttons of these acts for a flag, and the dialog of the one that was chosen. */
export function FlagActions({ flag }: { readonly flag: Flag }) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const [act, setAct] = useState<Act | null>(null);
  const fixed = fixedState(flag);
  const role = mayNot(session, 'change', words);
  const refused = role ?? (fixed === null ? null : words.forms[fixed]);
  const toSwitch = flag.enabled ? 'disable' : 'enable';
  return (
    <div class="buttons">
      <Offer why={refused} onClick={() => setAct(toSwitch)}>
        {flag.enabled ? words.disableFlag : words.enableFlag}
      </Offer>
      <Offer why={refused} to={flagPath(flag.key, '/edit')}>
        {words.forms.edit}
      </Offer>
      {fixed === 'isArchived' ? (
        <Offer why={role} onClick={() => setAct('unarchive')}>
          {words.forms.unarchive}
        </Offer>
      ) : (
        <Offer why={refused} onClick={() => setAct('archive')}>
          {words.forms.archive}
        </Offer>
      )}
      {act !== null && <FlagActDialog act={act} flag={flag} onClose={() => setAct(null)} />}
    </div>
  );
}
