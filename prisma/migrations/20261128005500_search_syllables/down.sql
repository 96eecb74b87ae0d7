DROP INDEX idx_flags_search_parts;

CREATE INDEX idx_flags_search_parts ON flags USING gin (
    (regexp_replace(lower(' ' || key || ' ' || name || ' ' || COALESCE(description, '')), '[!-/:-@[-`{-~\s]+', ' ', 'g')) gin_trgm_ops
);
