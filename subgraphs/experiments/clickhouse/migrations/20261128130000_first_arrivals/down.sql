CREATE TABLE IF NOT EXISTS metric_rows_by_storing
(
    flag_key    LowCardinality(String),
    metric      LowCardinality(String),
    at          DateTime64(3, 'UTC') COMMENT 'By the vehicle, never changed on the way: it is part of the sorting key',
    vin         String,
    batch_id    String COMMENT 'Unique to the vehicle',
    position    UInt16 COMMENT 'In the batch, from 0',
    variant     LowCardinality(String),
    value       Float64,
    tags        String COMMENT 'A flat JSON object, or empty' CODEC(ZSTD),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    INDEX received received_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (flag_key, metric, at, vin, batch_id, position)
TTL toDateTime(at) + INTERVAL 180 DAY;

-- only if: SELECT 1 FROM system.columns WHERE database = currentDatabase() AND table = 'metric_rows' AND name = 'precedence'
RENAME TABLE metric_rows TO metric_rows_before, metric_rows_by_storing TO metric_rows;

-- only if: SELECT 1 WHERE (SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'metric_rows') = 0
RENAME TABLE metric_rows_by_storing TO metric_rows;

CREATE MATERIALIZED VIEW IF NOT EXISTS metric_hours_of_rows TO metric_hours AS
SELECT flag_key, metric, toStartOfHour(at) AS hour, variant, vin, batch_id, toUInt32(count()) AS rows, sum(value) AS sum, max(at) AS last_at
FROM
(
    SELECT flag_key, metric, at, variant, vin, batch_id, value
    FROM metric_rows
    LIMIT 1 BY vin, batch_id, position
)
GROUP BY flag_key, metric, hour, variant, vin, batch_id;

-- only if: SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'metric_rows_before'
INSERT INTO metric_rows (flag_key, metric, at, vin, batch_id, position, variant, value, tags, received_at)
SELECT flag_key, metric, at, vin, batch_id, position, variant, value, tags, received_at FROM metric_rows_before FINAL;

DROP VIEW IF EXISTS metric_hours_of_arrivals;
DROP TABLE IF EXISTS metric_rows_before;
DROP TABLE IF EXISTS metric_rows_by_storing;
