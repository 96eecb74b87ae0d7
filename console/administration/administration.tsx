/**
 * The rooms for administrators, health, release policies and the own password: loaded together when one of their pages
 * is first shown.
 */
import { AccountPage } from './accounts/account-page.tsx';
import { AccountsPage } from './accounts/accounts-page.tsx';
import { NewAccountPage } from './accounts/new-account-page.tsx';
import { PasswordPage } from './accounts/password-page.tsx';
import { HealthPage } from './health/health-page.tsx';
import { KeyPage } from './keys/key-page.tsx';
import { KeysPage } from './keys/keys-page.tsx';
import { NewKeyPage } from './keys/new-key-page.tsx';
import { pageAt, type Pages } from '../navigation/pages.ts';
import { usePlace } from '../navigation/router.tsx';
import { NewOperationsPage } from './operations/new-operations-page.tsx';
import { OperationsPage } from './operations/operations-page.tsx';
import { NotFoundPage } from '../parts/not-found-page.tsx';
import { PoliciesPage } from './policies/policies-page.tsx';
import { PolicyFormPage } from './policies/policy-form-page.tsx';
import { NewWebhookPage } from './webhooks/new-webhook-page.tsx';
import { WebhookPage } from './webhooks/webhook-page.tsx';
import { WebhooksPage } from './webhooks/webhooks-page.tsx';

const PAGES: Pages = [
  ['/accounts', () => <AccountsPage />],
  ['/accounts/new', () => <NewAccountPage />],
  ['/accounts/:id', ({ id = '' }) => <AccountPage key={id} id={id} />],
  ['/password', () => <PasswordPage />],
  ['/keys', () => <KeysPage />],
  ['/keys/new', () => <NewKeyPage />],
  ['/keys/:id', ({ id = '' }) => <KeyPage key={id} id={id} />],
  ['/operations', () => <OperationsPage />],
  ['/operations/new', () => <NewOperationsPage />],
  ['/webhooks', () => <WebhooksPage />],
  ['/webhooks/new', () => <NewWebhookPage />],
  ['/webhooks/:id', ({ id = '' }) => <WebhookPage key={id} id={id} />],
  ['/health', () => <HealthPage />],
  ['/policies', () => <PoliciesPage />],
  ['/policies/:environment', ({ environment = '' }) => <PolicyFormPage key={environment} name={environment} />],
];

/** Shows the page of these rooms that the address names, or says that there is none. */
export function Administration() {
  const { path } = usePlace();
  return pageAt(PAGES, path) ?? <NotFoundPage />;
}
