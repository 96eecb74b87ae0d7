/** One flag: its state and value, its rules in words, how far its last change has got, and its history. */
import { useRef } from 'preact/hooks';
import { useQuery } from '../api/use-query.ts';
import type { Flag } from '../changes/flag-content.ts';
import { OneFlagDocument } from '../generated/operations.ts';
import { jsonText } from '../json.ts';
import { killedText } from './kill/killed-text.ts';
import { lazy } from '../navigation/lazy.tsx';
import { flagPath, withQuery } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { Fact } from '../parts/facts.tsx';
import { Offer } from '../parts/offer.tsx';
import { FaultNotice, Loading, Page, Time } from '../parts/parts.tsx';
import { RuleList } from './rules/rule-list.tsx';
import { mayNot, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';
import { FlagActions } from './flag-actions.tsx';
import { FlagAudience } from './audience-table.tsx';
import { ChangeProgress } from './change-progress.tsx';
import { LevelBadge, StateBadge } from './flag-badges.tsx';
import { FlagHistory } from './flag-history.tsx';
import { requirementText } from './requirement-text.ts';
import { WhyValue } from './why-value.tsx';

const ReleasePanel = lazy(() => import('../releases/release-panel.tsx').then((room) => room.ReleasePanel));
const EndedReleases = lazy(() => import('../releases/ended-releases.tsx').then((room) => room.EndedReleases));
const FlagMetrics = lazy(() => import('./metrics/flag-metrics.tsx').then((room) => room.FlagMetrics));

/** Says what holds above everything else: a kill switch, a draft, an archived flag, a change that waits. */
function Notices({ flag }: { readonly flag: Flag }) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  return (
    <>
      {flag.killed && (
        <div class="notice notice-killed">
          <p>
            <strong>{words.killedTitle}</strong> {killedText(flag, { words })}
          </p>
          <Offer why={mayNot(session, 'stop', words)} to={flagPath(flag.key, '/release')}>
            {words.releaseKillSwitch}
          </Offer>
        </div>
      )}
      {flag.draft && (
        <div class="notice">
          <p>{words.draftLead}</p>
        </div>
      )}
      {flag.archivedAt !== null && flag.archivedAt !== undefined && (
        <div class="notice">
          <p>
            {words.archivedLead} <Time at={flag.archivedAt} />
          </p>
        </div>
      )}
      {flag.changeRequests.length > 0 && (
        <div class="notice">
          <p>{words.changesOfFlagWait(flag.changeRequests.length)}</p>
          <Link to="/changes" class="button">
            {words.toWaitingChanges}
          </Link>
        </div>
      )}
    </>
  );
}

/** The flags on which it depends, and those that depend on it. */
function Relations({ flag }: { readonly flag: Flag }) {
  const { words } = useWords();
  const links = (flags: readonly { readonly key: string; readonly text?: string }[]) => (
    <ul class="counts">
      {flags.map(({ key, text }) => (
        <li key={key}>
          <Link to={flagPath(key)}>{text ?? key}</Link>
        </li>
      ))}
    </ul>
  );
  const required = flag.requires.map(({ flag: { key }, variants }) => ({ key, text: requirementText(key, variants) }));
  return (
    <>
      {required.length > 0 && <Fact name={words.scopes.requires}>{links(required)}</Fact>}
      {flag.excludes.length > 0 && <Fact name={words.scopes.excludes}>{links(flag.excludes)}</Fact>}
      {flag.dependents.length > 0 && <Fact name={words.scopes.dependents}>{links(flag.dependents)}</Fact>}
    </>
  );
}

function Facts({ flag }: { readonly flag: Flag }) {
  const { words } = useWords();
  return (
    <dl class="facts">
      <div>
        <dt>{words.state}</dt>
        <dd>
          <StateBadge flag={flag} />
        </dd>
      </div>
      <div>
        <dt>{words.safetyLevel}</dt>
        <dd>
          <LevelBadge level={flag.safetyLevel} />
        </dd>
      </div>
      <div>
        <dt>{words.environment}</dt>
        <dd>{words.environments[flag.environment]}</dd>
      </div>
      <Fact name={words.scopes.scope}>{flag.scope?.join(', ') ?? words.scopes.everyVehicle}</Fact>
      <Relations flag={flag} />
      <div>
        <dt>{words.type}</dt>
        <dd>{words.types[flag.type]}</dd>
      </div>
      <div>
        <dt>{words.fields.defaultValue}</dt>
        <dd>
          <code>{jsonText(flag.defaultValue)}</code>
        </dd>
      </div>
      <Fact name={words.fields.activation}>{words.forms.activations[flag.activation]}</Fact>
      <Fact name={words.fields.killActivation}>{words.forms.activations[flag.killActivation]}</Fact>
      {flag.valueSchema != null && (
        <Fact name={words.fields.valueSchema}>
          <pre class="code" tabIndex={0} aria-label={words.fields.valueSchema}>
            {JSON.stringify(flag.valueSchema, null, 2)}
          </pre>
        </Fact>
      )}
      <div>
        <dt>{words.changed}</dt>
        <dd>
          <Time at={flag.updatedAt} />
          {flag.updatedBy !== null && flag.updatedBy !== undefined && <> · {flag.updatedBy.name}</>}
        </dd>
      </div>
    </dl>
  );
}

/** The page of one flag. */
export function FlagPage({ flagKey }: { readonly flagKey: string }) {
  const { words } = useWords();
  const { data, fault, refresh } = useQuery(
    OneFlagDocument,
    { key: flagKey },
    { concerns: (news) => news.about === 'request' || (news.about === 'flag' && news.key === flagKey) },
  );
  const flag = data?.flag ?? null;
  // The panel of a release stays and says that it has ended, also to somebody who is about to halt it.
  const hadRelease = useRef(false);
  hadRelease.current ||= flag?.release != null;
  if (flag === null)
    return (
      <Page title={flagKey}>
        {fault !== null ? (
          <FaultNotice fault={fault} retry={refresh} />
        ) : data === null ? (
          <Loading />
        ) : (
          <p class="empty">
            {words.noSuchFlag} <Link to="/flags">{words.toFlags}</Link>
          </p>
        )}
      </Page>
    );
  const isLiving = !flag.draft && (flag.archivedAt === null || flag.archivedAt === undefined);
  return (
    <Page title={flag.name} beside={<FlagActions flag={flag} />}>
      <p class="flag-sub">
        <code>{flag.key}</code>
        {flag.description !== null && flag.description !== undefined && <> {flag.description}</>}
      </p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      <Notices flag={flag} />
      {hadRelease.current && <ReleasePanel flagKey={flagKey} />}
      <Facts flag={flag} />
      {isLiving && <ChangeProgress flagKey={flagKey} environment={flag.environment} revision={flag.revision} />}
      {isLiving && (
        <section class="panel" aria-labelledby="audience-title">
          <h2 id="audience-title">{words.whoHasWhat}</h2>
          <FlagAudience
            flagKey={flagKey}
            hasAttributes={flag.rules.some(({ enabled, type }) => enabled && type === 'USER_ATTRIBUTE')}
          />
        </section>
      )}
      <RuleList flag={flag} />
      {isLiving && <WhyValue flagKey={flagKey} />}
      {isLiving && <FlagMetrics flagKey={flagKey} />}
      <p>
        <Link to={withQuery('/experiments', { flag: flagKey })}>{words.experiments.ofFlag}</Link>
      </p>
      {!flag.draft && <EndedReleases flagKey={flagKey} />}
      <FlagHistory flagKey={flagKey} />
    </Page>
  );
}
