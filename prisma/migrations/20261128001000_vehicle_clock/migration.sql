-- What a vehicle's agent says of its clock and of what it was sent and did not believe: a control plane whose own clock
-- is wrong, and a change that somebody withholds, are seen here.
ALTER TABLE vehicles
    ADD COLUMN clock_offset_seconds DOUBLE PRECISION,
    ADD COLUMN agent_refusals TEXT[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN vehicles.clock_offset_seconds IS 'The control plane''s clock less the vehicle''s, by its last heartbeat: negative where the vehicle''s is ahead';
COMMENT ON COLUMN vehicles.agent_refusals IS 'Kinds of what the agent refuses now, such as incomplete; docs/agent.md';
