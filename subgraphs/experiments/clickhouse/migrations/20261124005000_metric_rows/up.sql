-- A vehicle's measurements as they came. A row is known by (vin, batch_id, position): a batch that is stored again has
-- the same sorting keys, whatever other vehicles' batches stand beside it in the insert, and FINAL shows one of them.
CREATE TABLE IF NOT EXISTS metric_rows
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
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (flag_key, metric, at, vin, batch_id, position)
TTL toDateTime(at) + INTERVAL 180 DAY;
