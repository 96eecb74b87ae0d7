DROP TABLE experiment_evidence;
