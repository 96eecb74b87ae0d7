-- When a vehicle was registered as another model: gateways follow this, because the model decides about the partition.
ALTER TABLE vehicles ADD COLUMN model_changed_at TIMESTAMP(3) WITH TIME ZONE;
COMMENT ON COLUMN vehicles.model_changed_at IS 'When the vehicle was last registered as another model; null: never';
CREATE INDEX idx_vehicles_model_changed ON vehicles (model_changed_at, vin) WHERE model_changed_at IS NOT NULL;
