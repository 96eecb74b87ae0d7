-- Administrator accounts. The first account is not created here: no password belongs in a repository.
CREATE TABLE users (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    email VARCHAR(255) NOT NULL,
    name VARCHAR(100) NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    role VARCHAR(20) NOT NULL CHECK (role IN ('ADMIN', 'WRITE', 'READ', 'SAFETY')),
    department VARCHAR(100),
    is_active BOOLEAN NOT NULL DEFAULT true,
    last_login_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    -- The constraint's own index is the one that lookups use: a second one on the same column would be waste.
    CONSTRAINT idx_users_email UNIQUE (email)
);

COMMENT ON TABLE users IS 'Administrator accounts';
COMMENT ON COLUMN users.password_hash IS 'Argon2id, m=19456 KiB, t=2, p=1';
COMMENT ON COLUMN users.role IS 'ADMIN: everything; WRITE: create and change flags; READ: read only; SAFETY: approves ASIL-D changes';
