-- Whoever writes what a vehicle is, the time of it is kept: heartbeats, presence and tokens are written in many places.
-- What its agent measures every minute (memory, CPU, cache, clock, refusals, what it has applied, when it was seen) is no change of it.
CREATE FUNCTION note_vehicle_change() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := NOW();
    RETURN NEW;
END;
$$;

COMMENT ON FUNCTION note_vehicle_change() IS 'Sets updated_at';

CREATE TRIGGER vehicles_updated_at BEFORE UPDATE ON vehicles FOR EACH ROW
    WHEN (ROW (OLD.vin, OLD.model, OLD.sw_version, OLD.region, OLD.status, OLD.environment, OLD.agent_version, OLD.token_generation)
        IS DISTINCT FROM ROW (NEW.vin, NEW.model, NEW.sw_version, NEW.region, NEW.status, NEW.environment, NEW.agent_version, NEW.token_generation))
    EXECUTE FUNCTION note_vehicle_change();
