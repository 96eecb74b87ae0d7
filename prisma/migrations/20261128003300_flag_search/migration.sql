-- Parts of words and keys, beside the whole words of idx_flags_search. Trigrams come with PostgreSQL, and whoever may
-- create in the database may add them (a trusted extension).
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- The expression is that of the question (subgraphs/flags/flag-search.ts). Punctuation is a blank in it, so that every
-- part of a key begins a word.
CREATE INDEX idx_flags_search_parts ON flags USING gin (
    (regexp_replace(lower(' ' || key || ' ' || name || ' ' || COALESCE(description, '')), '[!-/:-@[-`{-~\s]+', ' ', 'g')) gin_trgm_ops
);
