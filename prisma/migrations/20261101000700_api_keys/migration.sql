-- Keys of Tier 1 partners. A key itself is never stored, only its hash.
CREATE TABLE api_keys (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name VARCHAR(100) NOT NULL,
    key_hash VARCHAR(255) NOT NULL,
    key_prefix VARCHAR(20) NOT NULL,
    role VARCHAR(20) NOT NULL CHECK (role IN ('READ', 'WRITE', 'ADMIN')),
    rate_limit_per_min INTEGER NOT NULL DEFAULT 10000,
    is_active BOOLEAN NOT NULL DEFAULT true,
    last_used_at TIMESTAMP WITH TIME ZONE,
    expires_at TIMESTAMP WITH TIME ZONE,
    created_by UUID REFERENCES users(id) ON DELETE SET NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    CONSTRAINT idx_api_keys_key_hash UNIQUE (key_hash)
);

COMMENT ON TABLE api_keys IS 'API keys of Tier 1 partners';
COMMENT ON COLUMN api_keys.name IS 'Whose key it is, for example Tier1_CompanyA';
COMMENT ON COLUMN api_keys.key_hash IS 'SHA-256 of the key; the key itself is never stored';
COMMENT ON COLUMN api_keys.key_prefix IS 'How the key begins, for people to recognise it, cut to 20 characters';
