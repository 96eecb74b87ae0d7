-- The fleet: what each vehicle is and what its agent last told of itself.
CREATE TABLE vehicles (
    vin VARCHAR(17) PRIMARY KEY CHECK (vin ~ '^[A-HJ-NPR-Z0-9]{17}$'),
    model VARCHAR(100) NOT NULL,
    sw_version VARCHAR(50) NOT NULL,
    region VARCHAR(10) NOT NULL,
    status VARCHAR(20) NOT NULL CHECK (status IN ('online', 'offline', 'maintenance')),
    last_seen_at TIMESTAMP WITH TIME ZONE,
    agent_version VARCHAR(20),
    agent_memory_mb INTEGER,
    agent_cpu_percent NUMERIC(5,2),
    cache_size_mb NUMERIC(8,2),
    registered_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW()
);

COMMENT ON TABLE vehicles IS 'Vehicles and the state of their agents';
COMMENT ON COLUMN vehicles.vin IS 'Vehicle identification number (ISO 3779): 17 capitals and digits without I, O and Q';
COMMENT ON COLUMN vehicles.agent_version IS 'Agent fact: its version';
COMMENT ON COLUMN vehicles.agent_memory_mb IS 'Agent fact: resident memory in MB';
COMMENT ON COLUMN vehicles.agent_cpu_percent IS 'Agent fact: CPU use in percent';
COMMENT ON COLUMN vehicles.cache_size_mb IS 'Agent fact: size of its database file in MB';
