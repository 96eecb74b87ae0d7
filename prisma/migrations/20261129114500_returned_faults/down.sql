DELETE FROM vehicle_faults WHERE kind = 'returned';
ALTER TABLE vehicle_faults
    DROP CONSTRAINT vehicle_faults_kind_check,
    ADD CONSTRAINT vehicle_faults_kind_check CHECK (kind IN ('not_servable', 'outside_contract', 'evaluation_error', 'restarts', 'reported_by_program'));
