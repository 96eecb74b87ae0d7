DROP TABLE release_evidence;
DROP TABLE release_verdicts;
ALTER TABLE releases DROP COLUMN guards;
UPDATE release_policies SET proposed = proposed - 'guards' WHERE proposed IS NOT NULL;
ALTER TABLE release_policies DROP COLUMN guards;
