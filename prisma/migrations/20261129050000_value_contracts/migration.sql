-- Value contracts: a JSON Schema on a flag, which each of its values fits.
ALTER TABLE flags
    ADD COLUMN value_schema JSONB,
    ADD CONSTRAINT flags_value_schema_check CHECK (jsonb_typeof(value_schema) = 'object');

COMMENT ON COLUMN flags.value_schema IS 'The value contract: a JSON Schema that each value of the flag fits; null: none';
