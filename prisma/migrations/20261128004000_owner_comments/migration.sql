-- The owner's comments, in his own words (database.md, section 2).
COMMENT ON TABLE users IS '관리자 사용자 계정';
COMMENT ON COLUMN users.role IS 'ADMIN: 모든 권한, WRITE: Flag 생성/수정, READ: 조회만, SAFETY: ASIL-D 승인';
COMMENT ON TABLE flags IS 'Feature Flag 메타데이터';
COMMENT ON COLUMN flags.key IS '고유 식별자 (immutable)';
COMMENT ON COLUMN flags.safety_level IS 'ISO 26262 안전 등급';
COMMENT ON TABLE rules IS 'Feature Flag 타겟팅 규칙';
COMMENT ON COLUMN rules.priority IS '높을수록 먼저 평가 (First Match Wins)';
COMMENT ON COLUMN rules.conditions IS 'JSON 형식의 규칙 조건';
COMMENT ON TABLE audit_logs IS '모든 Flag 변경 이력 (ISO 26262: 7년 보존)';
COMMENT ON COLUMN audit_logs.before_value IS '변경 전 값 (JSON)';
COMMENT ON COLUMN audit_logs.after_value IS '변경 후 값 (JSON)';
COMMENT ON TABLE vehicles IS '차량 정보 및 상태';
COMMENT ON COLUMN vehicles.vin IS 'Vehicle Identification Number (17자리)';
COMMENT ON TABLE experiments IS 'A/B 실험 메타데이터';
COMMENT ON COLUMN experiments.confidence_level IS '신뢰 수준 (기본: 95%)';
COMMENT ON TABLE api_keys IS 'Tier 1 협력사 API Key';
COMMENT ON COLUMN api_keys.key_hash IS 'SHA-256 해시 (원본 키는 저장하지 않음)';
