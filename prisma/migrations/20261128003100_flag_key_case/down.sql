DROP INDEX idx_flags_key_folded;
