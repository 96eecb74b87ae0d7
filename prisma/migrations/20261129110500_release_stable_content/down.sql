ALTER TABLE releases DROP COLUMN stable_content;
