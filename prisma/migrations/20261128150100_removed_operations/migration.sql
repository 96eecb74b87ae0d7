-- A removed operation keeps its row: an id means one text for ever, so nobody may register another text under it.
ALTER TABLE persisted_operations ADD COLUMN removed_at TIMESTAMP WITH TIME ZONE;
COMMENT ON COLUMN persisted_operations.removed_at IS 'Since when nobody can run it; registering the same text again brings it back';
