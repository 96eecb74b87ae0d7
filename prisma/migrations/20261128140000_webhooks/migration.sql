-- Webhooks: which receivers get which events, and the outbox of what is to be sent.
CREATE TABLE webhooks (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name VARCHAR(100) NOT NULL,
    url VARCHAR(2000) NOT NULL,
    kinds TEXT[] NOT NULL,
    environments TEXT[] NOT NULL DEFAULT '{}',
    offline_percent INTEGER,
    enabled BOOLEAN NOT NULL DEFAULT true,
    disabled_reason VARCHAR(500),
    secret_seed CHAR(43) NOT NULL,
    previous_secret_seed CHAR(43),
    previous_secret_until TIMESTAMP WITH TIME ZONE,
    failing_since TIMESTAMP WITH TIME ZONE,
    offline_since TIMESTAMP WITH TIME ZONE,
    offline_notified BOOLEAN NOT NULL DEFAULT false,
    deleted_at TIMESTAMP WITH TIME ZONE,
    created_by UUID REFERENCES users(id) ON DELETE SET NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    CONSTRAINT webhooks_kinds_check CHECK (cardinality(kinds) > 0),
    CONSTRAINT webhooks_environments_check CHECK (environments <@ ARRAY['development', 'staging', 'production']),
    CONSTRAINT webhooks_offline_percent_check CHECK (offline_percent BETWEEN 1 AND 100),
    CONSTRAINT webhooks_offline_threshold CHECK (NOT ('fleet.offline' = ANY (kinds)) OR offline_percent IS NOT NULL),
    CONSTRAINT webhooks_previous_secret CHECK ((previous_secret_seed IS NULL) = (previous_secret_until IS NULL))
);
COMMENT ON TABLE webhooks IS 'Receivers over HTTP, and the kinds of events that each gets';
COMMENT ON COLUMN webhooks.kinds IS 'Types of events, such as kill_switch.pulled';
COMMENT ON COLUMN webhooks.environments IS 'The environments whose events are sent; none: all';
COMMENT ON COLUMN webhooks.offline_percent IS 'The share of the fleet, in percent, from which fleet.offline is sent';
COMMENT ON COLUMN webhooks.secret_seed IS 'With the internal secret, which is not in the database, gives the signing secret';
COMMENT ON COLUMN webhooks.previous_secret_seed IS 'The seed before the last rotation, whose secret signs as well for a time';
COMMENT ON COLUMN webhooks.failing_since IS 'When the first attempt failed since the last success';
COMMENT ON COLUMN webhooks.offline_since IS 'When the share of vehicles that are offline was first seen at the threshold';
COMMENT ON COLUMN webhooks.offline_notified IS 'Whether fleet.offline has been written for that';
COMMENT ON COLUMN webhooks.deleted_at IS 'When the webhook was deleted; its row goes with its last delivery';

CREATE TABLE webhook_deliveries (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    webhook_id UUID NOT NULL REFERENCES webhooks(id) ON DELETE CASCADE,
    kind VARCHAR(50) NOT NULL,
    occurrence VARCHAR(200),
    payload JSONB NOT NULL,
    status VARCHAR(20) NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed', 'cancelled')),
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    lease UUID,
    last_attempt_at TIMESTAMP WITH TIME ZONE,
    last_status INTEGER,
    last_fault VARCHAR(300),
    delivered_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    CONSTRAINT webhook_deliveries_when_due CHECK (status <> 'pending' OR next_attempt_at IS NOT NULL),
    CONSTRAINT webhook_deliveries_occurrence UNIQUE (webhook_id, occurrence)
);
CREATE INDEX idx_webhook_deliveries_due ON webhook_deliveries (webhook_id, next_attempt_at) WHERE status = 'pending';
CREATE INDEX idx_webhook_deliveries_webhook ON webhook_deliveries (webhook_id, created_at DESC, id DESC);
CREATE INDEX idx_webhook_deliveries_created_at ON webhook_deliveries (created_at DESC, id DESC);
COMMENT ON TABLE webhook_deliveries IS 'The outbox: one row for each event and webhook, written in the transaction of the event';
COMMENT ON COLUMN webhook_deliveries.occurrence IS 'Names what is sent only once, such as the last day of an API key';
COMMENT ON COLUMN webhook_deliveries.payload IS 'The member data of what is sent';
COMMENT ON COLUMN webhook_deliveries.next_attempt_at IS 'When to send; while a lease is held, when it ends';
COMMENT ON COLUMN webhook_deliveries.lease IS 'The attempt in progress';
COMMENT ON COLUMN webhook_deliveries.last_fault IS 'Why the last attempt failed';

CREATE TABLE webhook_checks (
    name VARCHAR(50) PRIMARY KEY,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL
);
COMMENT ON TABLE webhook_checks IS 'Regular checks whose findings webhooks get, each on one instance at a time';
COMMENT ON COLUMN webhook_checks.due_at IS 'When any instance is to check again';
