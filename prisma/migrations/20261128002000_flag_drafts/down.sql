-- Without the column a draft is an archived flag: what was to make it live is cancelled.
UPDATE change_requests SET status = 'cancelled', reviewed_at = now() WHERE status = 'pending' AND flag_id IN (SELECT id FROM flags WHERE draft);
ALTER TABLE flags DROP CONSTRAINT flags_draft_check, DROP COLUMN draft;
