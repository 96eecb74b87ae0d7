-- When a vehicle evaluated a flag first, since the vehicles of an epoch were drawn: a row for each variant that it
-- reported. What was recorded first stays: of copies, FINAL shows the one with the greatest precedence.
CREATE TABLE IF NOT EXISTS exposures
(
    epoch       LowCardinality(String) COMMENT 'Whose vehicles: the flag, its salt, the first bucket and the beginning',
    vin         String,
    variant     LowCardinality(String) COMMENT 'As reported; the arm is the one of the bucket',
    id          UUID DEFAULT generateUUIDv4() COMMENT 'Names the row without naming the vehicle',
    bucket      UInt32,
    at          DateTime64(3, 'UTC') COMMENT 'By the vehicle',
    received_at DateTime64(3, 'UTC'),
    model       LowCardinality(String) COMMENT 'As registered when the row was recorded; empty for an unknown vehicle',
    region      LowCardinality(String),
    sw_version  LowCardinality(String),
    recorded_at DateTime64(3, 'UTC'),
    precedence  UInt64 DEFAULT 18446744073709551615 - toUnixTimestamp64Milli(recorded_at)
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (epoch, vin, variant)
TTL toDateTime(recorded_at) + INTERVAL 400 DAY;
-- Rows are recorded as they arrive, so only those that arrived lately need be looked at.
ALTER TABLE metric_rows ADD INDEX IF NOT EXISTS received received_at TYPE minmax GRANULARITY 1;
