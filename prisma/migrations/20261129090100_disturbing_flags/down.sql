ALTER TABLE experiment_disturbances DROP COLUMN flag_id;
