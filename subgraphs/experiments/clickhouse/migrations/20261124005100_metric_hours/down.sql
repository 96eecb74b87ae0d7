DROP VIEW IF EXISTS metric_hours_of_rows;
DROP TABLE IF EXISTS metric_hours;
