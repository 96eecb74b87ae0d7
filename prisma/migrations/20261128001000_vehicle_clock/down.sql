ALTER TABLE vehicles
    DROP COLUMN agent_refusals,
    DROP COLUMN clock_offset_seconds;
