-- What is declared of a metric before it is measured.
CREATE TABLE metric_definitions (
    key VARCHAR(100) PRIMARY KEY,
    kind VARCHAR(20) NOT NULL CHECK (kind IN ('mean', 'proportion', 'count')),
    unit VARCHAR(50),
    minimum DOUBLE PRECISION,
    maximum DOUBLE PRECISION,
    better VARCHAR(10) CHECK (better IN ('higher', 'lower')),
    cap DOUBLE PRECISION,
    window_ms BIGINT CHECK (window_ms > 0),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    CONSTRAINT metric_definitions_range CHECK (minimum < maximum)
);

COMMENT ON TABLE metric_definitions IS 'Declared metrics';
COMMENT ON COLUMN metric_definitions.key IS 'The name by which vehicles report it';
COMMENT ON COLUMN metric_definitions.kind IS 'How a vehicle''s measurements become one number: their mean, whether one was 1, or their sum';
COMMENT ON COLUMN metric_definitions.cap IS 'The number at which a vehicle''s is cut; NULL: the 99th percentile before the start';
COMMENT ON COLUMN metric_definitions.window_ms IS 'How long after its first exposure a vehicle''s measurements count; NULL: its first one counts';
