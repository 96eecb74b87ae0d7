/** The earlier contents of a flag, newest first, each with what restoring it would change, and the restoring. */
import { useState } from 'preact/hooks';
import { useChange, useQuery } from '../api/use-query.ts';
import { ChangeAudience } from '../changes/change-audience.tsx';
import { ConfirmChange } from '../changes/confirm-change.tsx';
import { ConflictNotice } from '../changes/conflict-notice.tsx';
import { ChangeOutcome, type Outcome } from '../changes/change-outcome.tsx';
import { DifferenceTable } from '../changes/difference-table.tsx';
import { contentOf, type Flag } from '../changes/flag-content.ts';
import {
  RestoreFlagDocument,
  VersionsDocument,
  type ChangedFragment,
  type VersionsQuery,
} from '../generated/operations.ts';
import { isMembers, itemsOf, membersOf } from '../json.ts';
import { Offer } from '../parts/offer.tsx';
import { Pager, usePaging } from '../parts/pager.tsx';
import { FaultNotice, Loading, Time } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';
import { FlagChangePage, outcomeOf, publishChange, useBase } from './form/edited-flag.tsx';

const PAGE_SIZE = 10;

type Version = VersionsQuery['flagVersions']['nodes'][number];

/**
 * Gives a stored content in the form of `contentOf`: without the key, and as if its kill switches were those of now.
 */
function comparable(flag: Flag, content: unknown): object {
  const { key: _, environment: __, archived: ___, enabled, rules, safetyLevel, type, ...rest } = membersOf(content);
  const isSwitch = (rule: unknown) => String(membersOf(rule)['type']).toUpperCase() === 'KILL_SWITCH';
  const then = itemsOf(rules).filter((rule) => !isSwitch(rule));
  const now = membersOf(contentOf(flag));
  const switches = itemsOf(now['rules']).filter(isSwitch);
  return {
    ...rest,
    type: stored(type),
    enabled,
    safetyLevel: stored(safetyLevel),
    environment: now['environment'],
    archived: now['archived'],
    rules: [...switches, ...then.map((rule) => withEnumType(rule, flag))],
  };
}

/** Gives the API's word for a stored one. */
const stored = (text: unknown) => (typeof text === 'string' ? text.toUpperCase().replace(/-/g, '_') : text);

/** A stored rule names no variant where it has none of its own; the API gives the name that it then has. */
function withEnumType(rule: unknown, flag: Flag): unknown {
  if (!isMembers(rule)) return rule;
  const type = stored(rule['type']);
  const now = flag.rules.find(({ id }) => id === rule['id']);
  const usual = type === 'PERCENTAGE_ROLLOUT' ? 'treatment' : 'enabled';
  return { ...rule, type, variant: rule['variant'] ?? (now === undefined ? null : usual) };
}

function VersionItem({
  version,
  flag,
  onRestore,
}: {
  readonly version: Version;
  readonly flag: Flag;
  readonly onRestore: () => void;
}) {
  const { words, formats } = useWords();
  const { environment, revision, content, createdAt, createdBy } = version;
  const title = `version-${environment}-${revision}`;
  const isPresent = revision === flag.revision && environment === flag.environment;
  return (
    <li class="panel" aria-labelledby={title}>
      <h2 id={title}>{words.forms.revision(formats.number(revision))}</h2>
      <p class="quiet">
        {createdBy?.name ?? words.theSystem} · <Time at={createdAt} />
        {environment !== flag.environment && <> · {words.environments[environment]}</>}
      </p>
      {isPresent ? (
        <p>{words.forms.presentVersion}</p>
      ) : (
        <>
          <DifferenceTable
            before={contentOf(flag)}
            after={comparable(flag, content)}
            label={words.forms.differsFromNow}
          />
          <div class="buttons">
            <Offer why={environment === flag.environment ? null : words.forms.otherEnvironment} onClick={onRestore}>
              {words.forms.restore}
            </Offer>
          </div>
        </>
      )}
    </li>
  );
}

interface RestoreProps {
  readonly flag: Flag;
  readonly version: Version;
  readonly onClose: () => void;
  /** @param revision the flag's before it was restored */
  readonly done: (restored: ChangedFragment, revision: number) => void;
}

function RestoreDialog({ flag, version: { revision: of, content }, onClose, done }: RestoreProps) {
  const { words } = useWords();
  const [restore, { sending, fault }] = useChange(RestoreFlagDocument, ({ restoreFlag }) =>
    done(restoreFlag, revision),
  );
  const { base, revision, hasChanged, adopt } = useBase(flag, fault);
  return (
    <ConfirmChange
      title={words.forms.restore}
      lead={words.forms.restoreLead}
      waits={flag.safetyLevel === 'ASIL_D' || stored(membersOf(content)['safetyLevel']) === 'ASIL_D'}
      conflict={
        hasChanged ? <ConflictNotice base={contentOf(base)} now={contentOf(flag)} apply={adopt} isOfAct /> : null
      }
      sending={sending}
      fault={fault}
      onClose={onClose}
      send={(force) => restore({ key: flag.key, revision: of, expectedRevision: revision, force })}
    >
      <DifferenceTable before={contentOf(flag)} after={comparable(flag, content)} label={words.forms.differsFromNow} />
      <ChangeAudience flag={flag} change={{ restoreRevision: of }} />
    </ConfirmChange>
  );
}

function Versions({ flag }: { readonly flag: Flag }) {
  const { words } = useWords();
  const paging = usePaging(PAGE_SIZE, flag.key);
  const [chosen, setChosen] = useState<Version | null>(null);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const { data, fault, refresh } = useQuery(
    VersionsDocument,
    { key: flag.key, ...paging.page },
    { concerns: (news) => news.about === 'flag' && news.key === flag.key },
  );
  if (outcome !== null) return <ChangeOutcome outcome={outcome} flagKey={flag.key} />;
  const versions = data?.flagVersions;
  return (
    <>
      <p class="lead">{words.forms.versionsLead}</p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {versions === undefined && fault === null && <Loading />}
      {versions?.nodes.length === 0 && <p class="empty">{words.forms.noVersions}</p>}
      <ol class="versions">
        {versions?.nodes.map((version) => (
          <VersionItem
            key={`${version.environment} ${version.revision}`}
            version={version}
            flag={flag}
            onRestore={() => setChosen(version)}
          />
        ))}
      </ol>
      {versions !== undefined && (
        <Pager paging={paging} pageInfo={versions.pageInfo} label={words.forms.pagesOfVersions} />
      )}
      {chosen !== null && (
        <RestoreDialog
          flag={flag}
          version={chosen}
          onClose={() => setChosen(null)}
          done={(restored, revision) => {
            setOutcome(outcomeOf(restored, revision));
            setChosen(null);
            publishChange(restored);
          }}
        />
      )}
    </>
  );
}

/** The page of what a flag has consisted of earlier. */
export function VersionsPage({ flagKey }: { readonly flagKey: string }) {
  const { words } = useWords();
  return (
    <FlagChangePage flagKey={flagKey} title={words.forms.versions}>
      {(flag) => <Versions flag={flag} />}
    </FlagChangePage>
  );
}
