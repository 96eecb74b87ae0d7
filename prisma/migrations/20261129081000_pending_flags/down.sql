-- Agents report it again with their next heartbeats.
ALTER TABLE vehicles DROP COLUMN pending_flags;
