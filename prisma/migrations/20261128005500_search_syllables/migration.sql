-- A word of Korean, Chinese or Japanese often has two characters, and stands inside of another one: 조향 in 자동조향.
-- A trigram is longer than that. With each of these characters doubled, two of them are four, and the same index finds
-- them. The expression is that of the question (subgraphs/flags/flag-search.ts).
DROP INDEX idx_flags_search_parts;

CREATE INDEX idx_flags_search_parts ON flags USING gin (
    (regexp_replace(regexp_replace(lower(' ' || key || ' ' || name || ' ' || COALESCE(description, '')), '[!-/:-@[-`{-~\s]+', ' ', 'g'), '[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]', '\&\&', 'g')) gin_trgm_ops
);
