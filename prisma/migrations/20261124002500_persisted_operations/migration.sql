-- What partners may run, by its id. An id means one text for ever: rows are added and never changed.
CREATE TABLE persisted_operations (
    id VARCHAR(128) PRIMARY KEY,
    sha256 CHAR(64) NOT NULL,
    name VARCHAR(100) NOT NULL,
    type VARCHAR(20) NOT NULL CHECK (type IN ('query', 'mutation', 'subscription')),
    body TEXT NOT NULL,
    created_by UUID REFERENCES users(id) ON DELETE SET NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW()
);

COMMENT ON TABLE persisted_operations IS 'GraphQL operations that API keys may run, from Apollo''s persisted-query manifests';
COMMENT ON COLUMN persisted_operations.id IS 'The id in the manifest: the body''s SHA-256, unless its generator gave another';
COMMENT ON COLUMN persisted_operations.sha256 IS 'Of the body in UTF-8, in hexadecimal; operations may share it under different ids';
COMMENT ON COLUMN persisted_operations.body IS 'The GraphQL document: one operation and its fragments';

CREATE INDEX idx_persisted_operations_sha256 ON persisted_operations (sha256);
