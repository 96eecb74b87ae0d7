-- A new key may not differ from another by case alone. Not a unique index: two such keys may be there from before.
CREATE INDEX idx_flags_key_folded ON flags (lower(key));
