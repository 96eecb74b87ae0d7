-- A flag that waits for its first approval. Its archived_at is set, so that whatever asks for flags that live does not find it.
ALTER TABLE flags
    ADD COLUMN draft BOOLEAN NOT NULL DEFAULT false,
    ADD CONSTRAINT flags_draft_check CHECK (NOT draft OR archived_at IS NOT NULL);

COMMENT ON COLUMN flags.draft IS 'Waits for its first approval: no vehicle knows it, and archived_at is set meanwhile';
