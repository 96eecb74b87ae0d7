/**
 * The texts of the rooms for administrators. They are apart from the others, and loaded with the pages that show them.
 */
import { accounts as enAccounts } from './en/accounts.ts';
import { health as enHealth } from './en/health.ts';
import { keys as enKeys } from './en/keys.ts';
import { operations as enOperations } from './en/operations.ts';
import { policies as enPolicies } from './en/policies.ts';
import { webhooks as enWebhooks } from './en/webhooks.ts';
import { accounts as koAccounts } from './ko/accounts.ts';
import { health as koHealth } from './ko/health.ts';
import { keys as koKeys } from './ko/keys.ts';
import { operations as koOperations } from './ko/operations.ts';
import { policies as koPolicies } from './ko/policies.ts';
import { webhooks as koWebhooks } from './ko/webhooks.ts';
import type { Language } from './language.ts';

const en = { ...enAccounts, ...enKeys, ...enOperations, ...enHealth, ...enPolicies, ...enWebhooks };
export type AdministrationWords = typeof en;

/** Both catalogues. */
export const ADMINISTRATION: Readonly<Record<Language, AdministrationWords>> = {
  en,
  ko: { ...koAccounts, ...koKeys, ...koOperations, ...koHealth, ...koPolicies, ...koWebhooks },
};
