DROP INDEX idx_flags_search_parts;
-- The extension stays: it may have been there before, and others may use it.
