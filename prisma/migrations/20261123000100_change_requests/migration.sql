-- Changes of ASIL-D flags wait here for a second person.
CREATE TABLE change_requests (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    flag_id UUID NOT NULL REFERENCES flags(id) ON DELETE CASCADE,
    action VARCHAR(50) NOT NULL,
    flag_revision BIGINT NOT NULL,
    before_value JSONB,
    after_value JSONB,
    proposed JSONB NOT NULL,
    status VARCHAR(20) NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'rejected', 'cancelled')),
    requested_by UUID NOT NULL REFERENCES users(id),
    reviewed_by UUID REFERENCES users(id),
    comment TEXT,
    reviewed_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    CONSTRAINT change_requests_two_people CHECK (status NOT IN ('approved', 'rejected') OR (reviewed_by IS NOT NULL AND reviewed_by <> requested_by))
);

COMMENT ON TABLE change_requests IS 'Changes of ASIL-D flags, each with who asked and who decided';
COMMENT ON COLUMN change_requests.flag_revision IS 'The flag''s revision that the change was made against';
COMMENT ON COLUMN change_requests.proposed IS 'The flag''s whole content as it is to become';

CREATE INDEX idx_change_requests_flag_id ON change_requests (flag_id);
CREATE INDEX idx_change_requests_status ON change_requests (status, created_at DESC);
