-- How vehicles fare under the definitions of flags: one row for each vehicle, definition and kind of fault.
CREATE TABLE vehicle_faults (
    vin VARCHAR(17) NOT NULL REFERENCES vehicles(vin) ON DELETE CASCADE,
    environment VARCHAR(20) NOT NULL CHECK (environment IN ('development', 'staging', 'production')),
    flag_key VARCHAR(100) NOT NULL,
    revision BIGINT NOT NULL CHECK (revision > 0),
    kind VARCHAR(30) NOT NULL CHECK (kind IN ('not_servable', 'outside_contract', 'evaluation_error', 'restarts', 'reported_by_program')),
    message VARCHAR(300) NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    PRIMARY KEY (vin, environment, flag_key, revision, kind)
);
CREATE INDEX idx_vehicle_faults_flag ON vehicle_faults(environment, flag_key, revision, kind, received_at);
CREATE INDEX idx_vehicle_faults_received_at ON vehicle_faults(received_at);
COMMENT ON TABLE vehicle_faults IS 'Faults that vehicles report; kept for 30 days, the newest 50 of each vehicle';
COMMENT ON COLUMN vehicle_faults.environment IS 'The environment of the vehicle''s token, in which the revision counts';
COMMENT ON COLUMN vehicle_faults.flag_key IS 'As the vehicle reports it; there may be no such flag';
COMMENT ON COLUMN vehicle_faults.revision IS 'The revision of the definition under which it happened';
COMMENT ON COLUMN vehicle_faults.occurred_at IS 'When it happened first, as the vehicle reports it; never in the future';
COMMENT ON COLUMN vehicle_faults.received_at IS 'When the report arrived';
