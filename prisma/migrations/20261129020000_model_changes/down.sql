DROP INDEX idx_vehicles_model_changed;
ALTER TABLE vehicles DROP COLUMN model_changed_at;
