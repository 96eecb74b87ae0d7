DROP TABLE IF EXISTS metric_rows;
