-- Without its members a request of several flags would change only the first: it cannot be approved.
UPDATE change_requests SET status = 'cancelled', reviewed_at = now()
WHERE status = 'pending' AND id IN (SELECT change_request_id FROM change_set_members);
-- A flag that waited for such a request has nothing to wait for: its key is free again.
UPDATE flags SET key = left(key, 63) || '~' || id, draft = false, enabled = false
WHERE draft AND NOT EXISTS (SELECT FROM change_requests r WHERE r.flag_id = flags.id AND r.status = 'pending');
DROP TABLE change_set_members;
