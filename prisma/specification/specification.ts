/**
 * The expected content of the migrated database, written out by name from the data specification. A test compares it
 * with PostgreSQL's own catalogue, in both directions. A column that is nullable in the data specification and has a
 * default is NOT NULL here, because a third state of `enabled` would mean nothing.
 */
import { AUDIT_TABLES } from './audit-tables.ts';
import { EXPERIMENT_TABLES } from './experiment-tables.ts';
import { FLAG_TABLES } from './flag-tables.ts';
import { RELEASE_TABLES } from './release-tables.ts';
import type { TableSpecification } from './table.ts';
import { VEHICLE_TABLES } from './vehicle-tables.ts';
import { WEBHOOK_TABLES } from './webhook-tables.ts';

/** The tables by name. */
export const TABLES: Readonly<Record<string, TableSpecification>> = {
  ...FLAG_TABLES,
  ...RELEASE_TABLES,
  ...VEHICLE_TABLES,
  ...EXPERIMENT_TABLES,
  ...AUDIT_TABLES,
  ...WEBHOOK_TABLES,
};

/** Functions: signature → result. All but the first are not in the data specification. */
export const FUNCTIONS: Readonly<Record<string, string>> = {
  'create_audit_log_partition()': 'void',
  'create_audit_log_partition_of(date)': 'boolean',
  'ready_audit_log_partition(timestamp with time zone)': 'boolean',
  'ensure_audit_log_partitions(integer, timestamp with time zone)': 'integer',
  'detach_expired_audit_log_partition(timestamp with time zone)': 'jsonb',
  'refuse_audit_log_change()': 'trigger',
  'note_vehicle_change()': 'trigger',
  'flag_check(character varying, bigint, timestamp with time zone)': 'bigint',
  'living_flags_check(character varying)': 'bigint',
  'note_flag_checks()': 'trigger',
  'count_flag_checks()': 'trigger',
  'refuse_lower_return()': 'trigger',
};

/** The installed extensions. */
export const EXTENSIONS: readonly string[] = ['pg_trgm', 'plpgsql'];

/** The data specification's comments, word for word: table or table.column → COMMENT. */
export const OWNER_COMMENTS: Readonly<Record<string, string>> = {
  users: '관리자 사용자 계정',
  'users.role': 'ADMIN: 모든 권한, WRITE: Flag 생성/수정, READ: 조회만, SAFETY: ASIL-D 승인',
  flags: 'Feature Flag 메타데이터',
  'flags.key': '고유 식별자 (immutable)',
  'flags.safety_level': 'ISO 26262 안전 등급',
  rules: 'Feature Flag 타겟팅 규칙',
  'rules.priority': '높을수록 먼저 평가 (First Match Wins)',
  'rules.conditions': 'JSON 형식의 규칙 조건',
  audit_logs: '모든 Flag 변경 이력 (ISO 26262: 7년 보존)',
  'audit_logs.before_value': '변경 전 값 (JSON)',
  'audit_logs.after_value': '변경 후 값 (JSON)',
  vehicles: '차량 정보 및 상태',
  'vehicles.vin': 'Vehicle Identification Number (17자리)',
  experiments: 'A/B 실험 메타데이터',
  'experiments.confidence_level': '신뢰 수준 (기본: 95%)',
  api_keys: 'Tier 1 협력사 API Key',
  'api_keys.key_hash': 'SHA-256 해시 (원본 키는 저장하지 않음)',
};
