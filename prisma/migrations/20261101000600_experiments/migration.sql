-- A/B experiments: their plan, and their result once they are completed.
CREATE TABLE experiments (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    flag_id UUID NOT NULL REFERENCES flags(id) ON DELETE CASCADE,
    name VARCHAR(200) NOT NULL,
    description TEXT,
    status VARCHAR(20) NOT NULL CHECK (status IN ('draft', 'running', 'completed', 'cancelled')),
    start_date TIMESTAMP WITH TIME ZONE NOT NULL,
    end_date TIMESTAMP WITH TIME ZONE,
    sample_size INTEGER NOT NULL,
    confidence_level NUMERIC(3,2) NOT NULL DEFAULT 0.95 CHECK (confidence_level BETWEEN 0 AND 1),
    primary_metric VARCHAR(100) NOT NULL,
    winner_variant VARCHAR(50),
    p_value NUMERIC(10,8),
    improvement_percent NUMERIC(8,4),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW()
);

COMMENT ON TABLE experiments IS 'A/B experiment metadata';
COMMENT ON COLUMN experiments.winner_variant IS 'Result, written at completion: control or treatment; null when nothing is significant';
COMMENT ON COLUMN experiments.p_value IS 'Result, written at completion: p-value';
COMMENT ON COLUMN experiments.improvement_percent IS 'Result, written at completion: improvement of treatment over control in percent';
