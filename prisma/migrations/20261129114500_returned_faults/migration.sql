-- A vehicle that goes back to a last known good by itself reports it as a fault of its own kind.
ALTER TABLE vehicle_faults
    DROP CONSTRAINT vehicle_faults_kind_check,
    ADD CONSTRAINT vehicle_faults_kind_check CHECK (kind IN ('not_servable', 'outside_contract', 'evaluation_error', 'restarts', 'reported_by_program', 'returned'));
