-- Of the copies of a measurement the one that arrived first stays. It was the one that was stored last, so a batch that
-- was sent again after a look took the later time, and the measurement was missing where looks had counted it.
CREATE TABLE IF NOT EXISTS metric_rows_by_arrival
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
    precedence  UInt64 DEFAULT 18446744073709551615 - toUnixTimestamp64Milli(received_at) CODEC(Delta, ZSTD),
    INDEX received received_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(at)
ORDER BY (flag_key, metric, at, vin, batch_id, position)
TTL toDateTime(at) + INTERVAL 180 DAY;

-- Inserts go to the new table from here on; they name their columns. A process that was interrupted between the two
-- names left no metric_rows.
-- only if: SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'metric_rows' AND (SELECT count() FROM system.columns WHERE database = currentDatabase() AND table = 'metric_rows' AND name = 'precedence') = 0
RENAME TABLE metric_rows TO metric_rows_before, metric_rows_by_arrival TO metric_rows;

-- only if: SELECT 1 WHERE (SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'metric_rows') = 0
RENAME TABLE metric_rows_by_arrival TO metric_rows;

-- The view before stays with the table before.
CREATE MATERIALIZED VIEW IF NOT EXISTS metric_hours_of_arrivals TO metric_hours AS
SELECT flag_key, metric, toStartOfHour(at) AS hour, variant, vin, batch_id, toUInt32(count()) AS rows, sum(value) AS sum, max(at) AS last_at
FROM
(
    SELECT flag_key, metric, at, variant, vin, batch_id, value
    FROM metric_rows
    LIMIT 1 BY vin, batch_id, position
)
GROUP BY flag_key, metric, hour, variant, vin, batch_id;

-- What arrived before the view was there. A batch is stored as a whole, so its rows here are all of it.
INSERT INTO metric_hours
SELECT flag_key, metric, toStartOfHour(at) AS hour, variant, vin, batch_id, toUInt32(count()) AS rows, sum(value) AS sum, max(at) AS last_at
FROM
(
    SELECT flag_key, metric, at, variant, vin, batch_id, value
    FROM metric_rows
    WHERE received_at >= now() - INTERVAL 1 DAY
    LIMIT 1 BY vin, batch_id, position
)
GROUP BY flag_key, metric, hour, variant, vin, batch_id;

-- The view sees parts of batches here; of the rows of an hour the one with the most measurements stays.
-- only if: SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'metric_rows_before'
INSERT INTO metric_rows (flag_key, metric, at, vin, batch_id, position, variant, value, tags, received_at)
SELECT flag_key, metric, at, vin, batch_id, position, variant, value, tags, received_at FROM metric_rows_before;

-- Inserts that were under way when the table was renamed.
-- only if: SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'metric_rows_before'
INSERT INTO metric_rows (flag_key, metric, at, vin, batch_id, position, variant, value, tags, received_at)
SELECT flag_key, metric, at, vin, batch_id, position, variant, value, tags, received_at FROM metric_rows_before
WHERE received_at >= now() - INTERVAL 1 DAY;

DROP VIEW IF EXISTS metric_hours_of_rows;
DROP TABLE IF EXISTS metric_rows_before;
DROP TABLE IF EXISTS metric_rows_by_arrival;
