-- The flags in a release whose new content programs of the vehicle have evaluated. NULL: the agent does not report it.
ALTER TABLE vehicles ADD COLUMN evaluated_flags TEXT[];

COMMENT ON COLUMN vehicles.evaluated_flags IS 'Flags in a release whose new content programs of the vehicle have evaluated, each as key:revision, in alphabetical order; NULL where the agent does not report it';
