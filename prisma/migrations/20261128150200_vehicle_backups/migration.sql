-- Backups of the files of vehicles' agents: what a sync does not bring back. One row for each agent of a vehicle.
CREATE TABLE vehicle_backups (
    vin VARCHAR(17) NOT NULL REFERENCES vehicles(vin) ON DELETE CASCADE,
    agent VARCHAR(100) NOT NULL,
    content BYTEA NOT NULL,
    digest CHAR(64) NOT NULL,
    backed_up_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    PRIMARY KEY (vin, agent),
    CONSTRAINT vehicle_backups_content_check CHECK (octet_length(content) BETWEEN 1 AND 65536)
);
COMMENT ON TABLE vehicle_backups IS 'What agents need to get back after the loss of their file; kept for 7 days';
COMMENT ON COLUMN vehicle_backups.agent IS 'The name of the agent''s database file: a vehicle may run several agents';
COMMENT ON COLUMN vehicle_backups.content IS 'Compressed JSON that only the agent reads';
COMMENT ON COLUMN vehicle_backups.digest IS 'SHA-256 of the content in hexadecimal, as it arrived';
COMMENT ON COLUMN vehicle_backups.backed_up_at IS 'When the agent last sent it';
