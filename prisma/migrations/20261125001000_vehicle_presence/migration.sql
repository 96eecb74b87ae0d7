-- Which vehicle is connected where. A gateway's connections count for as long as it renews its lease.
CREATE TABLE gateway_leases (
    gateway_id UUID PRIMARY KEY,
    sequence BIGINT NOT NULL CHECK (sequence > 0),
    renewed_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW()
);
CREATE INDEX idx_gateway_leases_renewed_at ON gateway_leases(renewed_at);

COMMENT ON TABLE gateway_leases IS 'Gateways that vehicles are connected to';
COMMENT ON COLUMN gateway_leases.gateway_id IS 'Of one life of a gateway; it takes another when its lease has run out';
COMMENT ON COLUMN gateway_leases.sequence IS 'Number of its last report';

-- Vehicles that are not registered are kept as well, so without a reference: who is registered later is online at once.
CREATE TABLE vehicle_connections (
    gateway_id UUID NOT NULL REFERENCES gateway_leases(gateway_id) ON DELETE CASCADE,
    vin VARCHAR(17) NOT NULL,
    PRIMARY KEY (gateway_id, vin)
);
CREATE INDEX idx_vehicle_connections_vin ON vehicle_connections(vin);

COMMENT ON TABLE vehicle_connections IS 'Vehicles with at least one socket at a gateway';

-- Changes of a status have a position each, given under the lock of this row: who has seen all up to a position misses
-- none that is committed later.
CREATE TABLE vehicle_status_head (
    id SMALLINT PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    position BIGINT NOT NULL DEFAULT 0
);

COMMENT ON TABLE vehicle_status_head IS 'Counts changes of vehicles'' status';
COMMENT ON COLUMN vehicle_status_head.position IS 'status_position of the last change; 0 where there was none';

INSERT INTO vehicle_status_head DEFAULT VALUES;

ALTER TABLE vehicles
    ADD COLUMN disconnected_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN status_position BIGINT;

CREATE INDEX idx_vehicles_disconnected_at ON vehicles(disconnected_at) WHERE disconnected_at IS NOT NULL;
CREATE INDEX idx_vehicles_status_position ON vehicles(status_position) WHERE status_position IS NOT NULL;

COMMENT ON COLUMN vehicles.disconnected_at IS 'When its last connection ended, until the grace has passed; NULL while it is connected, and afterwards';
COMMENT ON COLUMN vehicles.status_position IS 'Position of the last change of its status';

-- Nobody knows who is connected at this moment: who does not come back within the grace is offline.
UPDATE vehicles SET disconnected_at = NOW() WHERE status <> 'offline';
