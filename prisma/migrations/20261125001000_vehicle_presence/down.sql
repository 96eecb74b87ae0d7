DROP INDEX idx_vehicles_status_position;
DROP INDEX idx_vehicles_disconnected_at;
ALTER TABLE vehicles
    DROP COLUMN status_position,
    DROP COLUMN disconnected_at;
DROP TABLE vehicle_status_head;
DROP TABLE vehicle_connections;
DROP TABLE gateway_leases;
