DROP TABLE metric_definitions;
