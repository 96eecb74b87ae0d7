DROP TABLE flag_versions;
