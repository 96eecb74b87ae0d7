-- Scopes, partitions and dependencies: which models get a flag, and which other flags it needs or stands aside for.
ALTER TABLE flags
    ADD COLUMN scope TEXT[],
    ADD COLUMN requires JSONB NOT NULL DEFAULT '[]',
    ADD COLUMN excludes TEXT[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT flags_scope_check CHECK (cardinality(scope) > 0 AND NOT ('*' = ANY (scope))),
    ADD CONSTRAINT flags_requires_check CHECK (jsonb_typeof(requires) = 'array');

COMMENT ON COLUMN flags.scope IS 'The models that get the flag; null: every vehicle';
COMMENT ON COLUMN flags.requires IS 'The flags without which it serves its default: [{"flag": key, "variants": [name]}]';
COMMENT ON COLUMN flags.excludes IS 'The keys of the flags beside which it serves its default';

-- A model keeps its partition once a scope has named it, so that no vehicle changes its partition back and forth.
CREATE TABLE scoped_models (
    environment VARCHAR(20) NOT NULL CHECK (environment IN ('development', 'staging', 'production')),
    model VARCHAR(100) NOT NULL CONSTRAINT scoped_models_model_check CHECK (model NOT IN ('', '*')),
    named_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    PRIMARY KEY (environment, model)
);

COMMENT ON TABLE scoped_models IS 'The models that have a partition of their own; the other vehicles share the partition *';
COMMENT ON COLUMN scoped_models.named_at IS 'When a scope first named the model; rows are never removed';

ALTER TABLE flag_tombstones
    ADD COLUMN partition VARCHAR(100) NOT NULL DEFAULT '',
    DROP CONSTRAINT flag_tombstones_pkey,
    ADD PRIMARY KEY (environment, partition, key);

COMMENT ON COLUMN flag_tombstones.partition IS 'The partition that the flag has left; empty: every one';
