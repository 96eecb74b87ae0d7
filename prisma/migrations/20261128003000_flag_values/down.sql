ALTER TABLE rules DROP CONSTRAINT rules_value_given;
ALTER TABLE flags DROP CONSTRAINT flags_default_value_given;
