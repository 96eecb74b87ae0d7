-- A change of a flag that the experiment's flag requires or excludes disturbs the experiment, too.
ALTER TABLE experiment_disturbances
    ADD COLUMN flag_id UUID CONSTRAINT experiment_disturbances_flag_id_fkey REFERENCES flags(id) ON DELETE SET NULL;

COMMENT ON COLUMN experiment_disturbances.flag_id IS 'The flag that was changed, where the experiment''s own requires or excludes it; null: the experiment''s own';
