-- Each environment's revision: every change of a flag takes the row's lock and adds one.
CREATE TABLE environments (
    name VARCHAR(20) PRIMARY KEY CHECK (name IN ('development', 'staging', 'production')),
    revision BIGINT NOT NULL DEFAULT 0,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW()
);

COMMENT ON TABLE environments IS 'Environments and their revisions';
COMMENT ON COLUMN environments.revision IS 'Changes so far; gapless, in commit order';

INSERT INTO environments (name) VALUES ('development'), ('staging'), ('production');
