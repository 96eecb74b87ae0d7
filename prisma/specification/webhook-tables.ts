/** Tables of webhooks. None of them is in the data specification. */
import { ID, NOW, TIME, TIMES, oneOfCheck, text, type TableSpecification } from './table.ts';

const SEED = 'character(43)';

export const WEBHOOK_TABLES: Readonly<Record<string, TableSpecification>> = {
  webhooks: {
    columns: {
      ...ID,
      name: `${text(100)} NOT NULL`,
      url: `${text(2000)} NOT NULL`,
      kinds: 'text[] NOT NULL',
      environments: "text[] NOT NULL DEFAULT '{}'::text[]",
      offline_percent: 'integer',
      enabled: 'boolean NOT NULL DEFAULT true',
      disabled_reason: text(500),
      secret_seed: `${SEED} NOT NULL`,
      previous_secret_seed: SEED,
      previous_secret_until: TIME,
      failing_since: TIME,
      offline_since: TIME,
      offline_notified: 'boolean NOT NULL DEFAULT false',
      deleted_at: TIME,
      created_by: 'uuid',
      ...TIMES,
    },
    constraints: {
      webhooks_pkey: 'PRIMARY KEY (id)',
      webhooks_kinds_check: 'CHECK ((cardinality(kinds) > 0))',
      webhooks_environments_check:
        "CHECK ((environments <@ ARRAY['development'::text, 'staging'::text, 'production'::text]))",
      webhooks_offline_percent_check: 'CHECK (((offline_percent >= 1) AND (offline_percent <= 100)))',
      webhooks_offline_threshold:
        "CHECK (((NOT ('fleet.offline'::text = ANY (kinds))) OR (offline_percent IS NOT NULL)))",
      webhooks_previous_secret: 'CHECK (((previous_secret_seed IS NULL) = (previous_secret_until IS NULL)))',
      webhooks_created_by_fkey: 'FOREIGN KEY (created_by) REFERENCES users(id) ON DELETE SET NULL',
    },
    indexes: {},
    commented: [
      'kinds',
      'environments',
      'offline_percent',
      'secret_seed',
      'previous_secret_seed',
      'failing_since',
      'offline_since',
      'offline_notified',
      'deleted_at',
    ],
  },
  webhook_deliveries: {
    columns: {
      ...ID,
      webhook_id: 'uuid NOT NULL',
      kind: `${text(50)} NOT NULL`,
      occurrence: text(200),
      payload: 'jsonb NOT NULL',
      status: `${text(20)} NOT NULL DEFAULT 'pending'::character varying`,
      attempts: 'integer NOT NULL DEFAULT 0',
      next_attempt_at: `${TIME} DEFAULT now()`,
      lease: 'uuid',
      last_attempt_at: TIME,
      last_status: 'integer',
      last_fault: text(300),
      delivered_at: TIME,
      created_at: NOW,
    },
    constraints: {
      webhook_deliveries_pkey: 'PRIMARY KEY (id)',
      webhook_deliveries_webhook_id_fkey: 'FOREIGN KEY (webhook_id) REFERENCES webhooks(id) ON DELETE CASCADE',
      webhook_deliveries_status_check: oneOfCheck('status', ['pending', 'delivered', 'failed', 'cancelled']),
      webhook_deliveries_attempts_check: 'CHECK ((attempts >= 0))',
      webhook_deliveries_when_due: "CHECK ((((status)::text <> 'pending'::text) OR (next_attempt_at IS NOT NULL)))",
      webhook_deliveries_occurrence: 'UNIQUE (webhook_id, occurrence)',
    },
    indexes: {
      idx_webhook_deliveries_due: "btree (webhook_id, next_attempt_at) WHERE ((status)::text = 'pending'::text)",
      idx_webhook_deliveries_webhook: 'btree (webhook_id, created_at DESC, id DESC)',
      idx_webhook_deliveries_created_at: 'btree (created_at DESC, id DESC)',
    },
    commented: ['occurrence', 'payload', 'next_attempt_at', 'lease', 'last_fault'],
  },
  webhook_checks: {
    columns: { name: `${text(50)} NOT NULL`, due_at: `${TIME} NOT NULL` },
    constraints: { webhook_checks_pkey: 'PRIMARY KEY (name)' },
    indexes: {},
    commented: ['due_at'],
  },
};
