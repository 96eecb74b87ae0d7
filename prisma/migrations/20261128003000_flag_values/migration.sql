-- A flag's value is never null: not the default, and not a rule's value where there is one. A null default became the
-- empty object (core/rules/flag-value.ts), which a definition signed with null means to vehicles as well.
UPDATE flags SET default_value = '{"value": {}}' WHERE COALESCE(jsonb_typeof(default_value -> 'value'), 'null') = 'null';
UPDATE rules SET value = NULL WHERE value IS NOT NULL AND COALESCE(jsonb_typeof(value -> 'value'), 'null') = 'null';

ALTER TABLE flags ADD CONSTRAINT flags_default_value_given CHECK (COALESCE(jsonb_typeof(default_value -> 'value'), 'null') <> 'null');
ALTER TABLE rules ADD CONSTRAINT rules_value_given CHECK (value IS NULL OR COALESCE(jsonb_typeof(value -> 'value'), 'null') <> 'null');
