/** The console: starts the theme, the language, the router, the news and the permissions, and shows the pages. */
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { startNews } from './api/live.ts';
import { AuditPage } from './audit/audit-page.tsx';
import { ChangesPage } from './changes/changes-page.tsx';
import { FlagPage } from './flags/flag-page.tsx';
import { FlagsPage } from './flags/flags-page.tsx';
import { FleetPage } from './fleet/fleet-page.tsx';
import { Frame } from './frame/frame.tsx';
import { ChooseFlagPage } from './flags/kill/choose-flag-page.tsx';
import { KillPage } from './flags/kill/kill-page.tsx';
import { ReleasePage } from './flags/kill/release-page.tsx';
import { lazy } from './navigation/lazy.tsx';
import { pageAt, type Pages } from './navigation/pages.ts';
import { goTo, startRouter, usePlace } from './navigation/router.tsx';
import { NotFoundPage } from './parts/not-found-page.tsx';
import { SignInPage } from './session/sign-in.tsx';
import { startPermissions } from './session/permissions.ts';
import { sessionState } from './session/session.ts';
import { useStore } from './store.ts';
import { startTheme } from './frame/theme.ts';
import { startLanguage } from './words/language.ts';
import './styles/base.css';
import './styles/frame.css';
import './styles/parts.css';
import './styles/pages.css';
import './styles/charts.css';
import './styles/forms.css';

const Administration = lazy(() => import('./administration/administration.tsx').then((rooms) => rooms.Administration));
/** The paths of the pages of the administration, which is loaded when one of them is opened. */
const ADMINISTRATION = /^\/(?:accounts|keys|operations|health|password|policies|webhooks)(?:\/|$)/;

function ToFlags() {
  useEffect(() => goTo('/flags', { replace: true }), []);
  return null;
}

const VehiclePage = lazy(() => import('./fleet/vehicle-page.tsx').then((room) => room.VehiclePage));
const RolloutsPage = lazy(() => import('./rollouts/rollouts-page.tsx').then((room) => room.RolloutsPage));
const RolloutPage = lazy(() => import('./rollouts/rollout-page.tsx').then((room) => room.RolloutPage));
const PlanPage = lazy(() => import('./rollouts/plan-page.tsx').then((room) => room.PlanPage));
const ExperimentsPage = lazy(() => import('./experiments/experiments-page.tsx').then((room) => room.ExperimentsPage));
const ExperimentPage = lazy(() => import('./experiments/experiment-page.tsx').then((room) => room.ExperimentPage));
const NewExperimentPage = lazy(() =>
  import('./experiments/experiment-form.tsx').then((room) => room.NewExperimentPage),
);
const EditExperimentPage = lazy(() =>
  import('./experiments/experiment-form.tsx').then((room) => room.EditExperimentPage),
);
const NewFlagPage = lazy(() => import('./flags/form/new-flag-page.tsx').then((room) => room.NewFlagPage));
const EditFlagPage = lazy(() => import('./flags/form/edit-flag-page.tsx').then((room) => room.EditFlagPage));
const VersionsPage = lazy(() => import('./flags/versions-page.tsx').then((room) => room.VersionsPage));
const SegmentsPage = lazy(() => import('./segments/segments-page.tsx').then((room) => room.SegmentsPage));
const SegmentPage = lazy(() => import('./segments/segment-page.tsx').then((room) => room.SegmentPage));
const NewSegmentPage = lazy(() => import('./segments/segment-page.tsx').then((room) => room.NewSegmentPage));
const RulePage = lazy(() => import('./flags/rules/rule-page.tsx').then((room) => room.RulePage));

/** The pages by their paths. Preact's `key` begins a new page for each flag, so that no typed text goes over to it. */
const PAGES: Pages = [
  ['/', () => <ToFlags />],
  ['/flags', () => <FlagsPage />],
  ['/flags/:key', ({ key = '' }) => <FlagPage key={key} flagKey={key} />],
  ['/flags/:key/kill', ({ key = '' }) => <KillPage key={key} flagKey={key} />],
  ['/flags/:key/release', ({ key = '' }) => <ReleasePage key={key} flagKey={key} />],
  ['/flags/:key/rollouts/:rule', ({ key = '', rule = '' }) => <RolloutPage key={rule} flagKey={key} ruleId={rule} />],
  ['/flags/:key/rollouts/:rule/plan', ({ key = '', rule = '' }) => <PlanPage key={rule} flagKey={key} ruleId={rule} />],
  ['/rollouts', () => <RolloutsPage />],
  ['/experiments', () => <ExperimentsPage />],
  ['/experiments/new', () => <NewExperimentPage />],
  ['/experiments/:id', ({ id = '' }) => <ExperimentPage key={id} id={id} />],
  ['/experiments/:id/edit', ({ id = '' }) => <EditExperimentPage key={id} id={id} />],
  ['/flags/:key/edit', ({ key = '' }) => <EditFlagPage key={key} flagKey={key} />],
  ['/flags/:key/versions', ({ key = '' }) => <VersionsPage key={key} flagKey={key} />],
  ['/flags/:key/new-rule', ({ key = '' }) => <RulePage key={`${key} new`} flagKey={key} ruleId={null} />],
  ['/flags/:key/rules/:rule', ({ key = '', rule = '' }) => <RulePage key={rule} flagKey={key} ruleId={rule} />],
  ['/new-flag', () => <NewFlagPage />],
  ['/segments', () => <SegmentsPage />],
  ['/segments/:key', ({ key = '' }) => <SegmentPage key={key} segmentKey={key} />],
  ['/new-segment', () => <NewSegmentPage />],
  ['/kill', () => <ChooseFlagPage />],
  ['/fleet', () => <FleetPage />],
  ['/fleet/:vin', ({ vin = '' }) => <VehiclePage key={vin} vin={vin} />],
  ['/audit', () => <AuditPage />],
  ['/changes', () => <ChangesPage />],
];

function CurrentPage() {
  const { path } = usePlace();
  return ADMINISTRATION.test(path) ? <Administration /> : (pageAt(PAGES, path) ?? <NotFoundPage />);
}

function Console() {
  const { session, ended, renewing = false } = useStore(sessionState);
  if (session === null) return <SignInPage />;
  return (
    <Frame session={session} ended={ended && !renewing}>
      <CurrentPage />
    </Frame>
  );
}

startTheme();
startLanguage();
startRouter();
startNews();
startPermissions();
render(<Console />, document.body);
