DROP TABLE experiment_disturbances;
