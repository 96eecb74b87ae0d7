-- What each batch of a vehicle adds to each hour. A batch is aggregated as a whole, so storing it again makes the same
-- row again; the copy with the most rows is kept. Evaluations have no TTL: totals count a flag's whole life.
CREATE TABLE IF NOT EXISTS metric_hours
(
    flag_key LowCardinality(String),
    metric   LowCardinality(String),
    hour     DateTime('UTC'),
    variant  LowCardinality(String),
    vin      String,
    batch_id String,
    rows     UInt32,
    sum      Float64,
    last_at  DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(rows)
PARTITION BY toYYYYMM(hour)
ORDER BY (flag_key, metric, hour, variant, vin, batch_id)
TTL hour + INTERVAL 400 DAY DELETE WHERE metric != '$evaluations';

-- LIMIT 1 BY: should a batch stand twice in one insert, it counts once here, too.
CREATE MATERIALIZED VIEW IF NOT EXISTS metric_hours_of_rows TO metric_hours AS
SELECT flag_key, metric, toStartOfHour(at) AS hour, variant, vin, batch_id, toUInt32(count()) AS rows, sum(value) AS sum, max(at) AS last_at
FROM
(
    SELECT flag_key, metric, at, variant, vin, batch_id, value
    FROM metric_rows
    LIMIT 1 BY vin, batch_id, position
)
GROUP BY flag_key, metric, hour, variant, vin, batch_id;
