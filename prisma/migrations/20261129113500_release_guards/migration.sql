-- Metrics by which releases are watched: named by a policy, copied to each release, judged by the experiments subgraph.
ALTER TABLE release_policies
    ADD COLUMN guards JSONB NOT NULL DEFAULT '[]' CONSTRAINT release_policies_guards_check CHECK (jsonb_typeof(guards) = 'array');
COMMENT ON COLUMN release_policies.guards IS 'A list of {metric, worse, maxWorsePercent, bound, confidenceLevel, minimumVehicles, silence, action}; silence in milliseconds';
-- A proposal from before has none.
UPDATE release_policies SET proposed = proposed || '{"guards": []}' WHERE proposed IS NOT NULL;

ALTER TABLE releases
    ADD COLUMN guards JSONB NOT NULL DEFAULT '[]' CONSTRAINT releases_guards_check CHECK (jsonb_typeof(guards) = 'array');
COMMENT ON COLUMN releases.guards IS 'The guards of the policy when the release began';

-- The experiments subgraph writes it, the flags subgraph acts on it.
CREATE TABLE release_verdicts (
    release_id UUID NOT NULL REFERENCES releases(id) ON DELETE CASCADE,
    guard INTEGER NOT NULL,
    watch BIGINT NOT NULL,
    verdict VARCHAR(10) NOT NULL CONSTRAINT release_verdicts_verdict_check CHECK (verdict IN ('waiting', 'holding', 'crossed', 'silent')),
    figures JSONB NOT NULL,
    computed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (release_id, guard)
);
COMMENT ON TABLE release_verdicts IS 'What was found last by each guard of a release';
COMMENT ON COLUMN release_verdicts.guard IS 'The place in releases.guards, from 0';
COMMENT ON COLUMN release_verdicts.watch IS 'The stage that it is about, by the revision at which that began (releases.revision)';

CREATE TABLE release_evidence (
    release_id UUID NOT NULL REFERENCES releases(id) ON DELETE CASCADE,
    guard INTEGER NOT NULL,
    state JSONB NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (release_id, guard)
);
COMMENT ON TABLE release_evidence IS 'What each guard of a release has gathered over its stages';
COMMENT ON COLUMN release_evidence.guard IS 'The place in releases.guards, from 0';
COMMENT ON COLUMN release_evidence.state IS 'Only the experiments subgraph reads and writes it';
