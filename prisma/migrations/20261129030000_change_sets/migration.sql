-- Changes of several flags that are decided as one: what one change request would make of each of them.
CREATE TABLE change_set_members (
    change_request_id UUID NOT NULL REFERENCES change_requests(id) ON DELETE CASCADE,
    position INTEGER NOT NULL CHECK (position >= 0),
    flag_id UUID NOT NULL REFERENCES flags(id) ON DELETE CASCADE,
    action VARCHAR(50) NOT NULL,
    flag_revision BIGINT NOT NULL,
    before_value JSONB,
    after_value JSONB,
    proposed JSONB NOT NULL,
    PRIMARY KEY (change_request_id, position)
);
CREATE INDEX idx_change_set_members_flag_id ON change_set_members (flag_id);

COMMENT ON TABLE change_set_members IS 'The flags of a change request for several; a request for one flag has no rows here';
COMMENT ON COLUMN change_set_members.position IS 'The place in the set, from 0; the request itself shows the first';
COMMENT ON COLUMN change_set_members.flag_revision IS 'The flag''s revision that the change is made from';
COMMENT ON COLUMN change_set_members.proposed IS 'The whole content that the flag would have';
