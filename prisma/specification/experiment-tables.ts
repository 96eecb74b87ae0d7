/** Tables of experiments. */
import { ID, NOW, TIME, TIMES, oneOfCheck, text, type TableSpecification } from './table.ts';

export const EXPERIMENT_TABLES: Readonly<Record<string, TableSpecification>> = {
  experiments: {
    columns: {
      ...ID,
      flag_id: 'uuid NOT NULL',
      name: `${text(200)} NOT NULL`,
      description: 'text',
      status: `${text(20)} NOT NULL`,
      start_date: `${TIME} NOT NULL`,
      end_date: TIME,
      sample_size: 'integer NOT NULL',
      confidence_level: 'numeric(3,2) NOT NULL DEFAULT 0.95',
      primary_metric: `${text(100)} NOT NULL`,
      winner_variant: text(50),
      p_value: 'numeric(10,8)',
      improvement_percent: 'numeric(8,4)',
      ...TIMES,
      // The following are not in the data specification.
      treatment_share: 'numeric(6,5)',
      results: 'jsonb',
      cancel_reason: 'text',
      secondary_metrics: "jsonb NOT NULL DEFAULT '[]'::jsonb",
      guardrails: "jsonb NOT NULL DEFAULT '[]'::jsonb",
    },
    constraints: {
      experiments_pkey: 'PRIMARY KEY (id)',
      experiments_flag_id_fkey: 'FOREIGN KEY (flag_id) REFERENCES flags(id) ON DELETE CASCADE',
      experiments_status_check: oneOfCheck('status', ['draft', 'running', 'completed', 'cancelled']),
      experiments_confidence_level_check:
        'CHECK (((confidence_level >= (0)::numeric) AND (confidence_level <= (1)::numeric)))',
      experiments_treatment_share_check:
        'CHECK (((treatment_share > (0)::numeric) AND (treatment_share < (1)::numeric)))',
      experiments_results: "CHECK (((results IS NULL) OR ((status)::text = 'completed'::text)))",
    },
    indexes: {
      idx_experiments_flag_id: 'btree (flag_id)',
      idx_experiments_status: 'btree (status)',
      idx_experiments_start_date: 'btree (start_date DESC)',
      // The following are not in the data specification.
      idx_experiments_running_flag: "btree (flag_id) WHERE ((status)::text = 'running'::text)",
    },
    commented: [
      'confidence_level',
      'winner_variant',
      'p_value',
      'improvement_percent',
      'treatment_share',
      'results',
      'cancel_reason',
      'secondary_metrics',
      'guardrails',
    ],
  },
  experiment_metric_evidence: {
    columns: {
      experiment_id: 'uuid NOT NULL',
      metric: `${text(100)} NOT NULL`,
      state: 'jsonb NOT NULL',
      updated_at: `${TIME} NOT NULL`,
    },
    constraints: {
      experiment_metric_evidence_pkey: 'PRIMARY KEY (experiment_id, metric)',
      experiment_metric_evidence_experiment_id_fkey:
        'FOREIGN KEY (experiment_id) REFERENCES experiments(id) ON DELETE CASCADE',
    },
    indexes: {},
    commented: ['state'],
  },
  experiment_evidence: {
    columns: { experiment_id: 'uuid NOT NULL', state: 'jsonb NOT NULL', updated_at: `${TIME} NOT NULL` },
    constraints: {
      experiment_evidence_pkey: 'PRIMARY KEY (experiment_id)',
      experiment_evidence_experiment_id_fkey:
        'FOREIGN KEY (experiment_id) REFERENCES experiments(id) ON DELETE CASCADE',
    },
    indexes: {},
    commented: ['state'],
  },
  rollout_evidence: {
    columns: { rollout_id: 'uuid NOT NULL', state: 'jsonb NOT NULL', updated_at: `${TIME} NOT NULL` },
    constraints: {
      rollout_evidence_pkey: 'PRIMARY KEY (rollout_id)',
      rollout_evidence_rollout_id_fkey: 'FOREIGN KEY (rollout_id) REFERENCES rollouts(id) ON DELETE CASCADE',
    },
    indexes: {},
    commented: ['state'],
  },
  release_evidence: {
    columns: {
      release_id: 'uuid NOT NULL',
      guard: 'integer NOT NULL',
      state: 'jsonb NOT NULL',
      updated_at: `${TIME} NOT NULL`,
    },
    constraints: {
      release_evidence_pkey: 'PRIMARY KEY (release_id, guard)',
      release_evidence_release_id_fkey: 'FOREIGN KEY (release_id) REFERENCES releases(id) ON DELETE CASCADE',
    },
    indexes: {},
    commented: ['guard', 'state'],
  },
  rollout_looks: {
    columns: {
      rollout_id: 'uuid NOT NULL',
      at: `${TIME} NOT NULL`,
      watch: 'integer NOT NULL',
      verdict: `${text(10)} NOT NULL`,
      control_vehicles: 'integer NOT NULL',
      treatment_vehicles: 'integer NOT NULL',
      control_mean: 'double precision',
      treatment_mean: 'double precision',
      worse_percent: 'double precision',
      worse_percent_at_least: 'double precision',
    },
    constraints: {
      rollout_looks_pkey: 'PRIMARY KEY (rollout_id, at)',
      rollout_looks_rollout_id_fkey: 'FOREIGN KEY (rollout_id) REFERENCES rollouts(id) ON DELETE CASCADE',
      rollout_looks_verdict_check: oneOfCheck('verdict', ['waiting', 'holding', 'crossed', 'silent']),
    },
    indexes: {},
    commented: ['watch'],
  },
  metric_definitions: {
    columns: {
      key: `${text(100)} NOT NULL`,
      kind: `${text(20)} NOT NULL`,
      unit: text(50),
      minimum: 'double precision',
      maximum: 'double precision',
      better: text(10),
      cap: 'double precision',
      window_ms: 'bigint',
      ...TIMES,
    },
    constraints: {
      metric_definitions_pkey: 'PRIMARY KEY (key)',
      metric_definitions_kind_check: oneOfCheck('kind', ['mean', 'proportion', 'count']),
      metric_definitions_better_check: oneOfCheck('better', ['higher', 'lower']),
      metric_definitions_window_ms_check: 'CHECK ((window_ms > 0))',
      metric_definitions_range: 'CHECK ((minimum < maximum))',
    },
    indexes: {},
    commented: ['key', 'kind', 'cap', 'window_ms'],
  },
  experiment_disturbances: {
    columns: {
      ...ID,
      experiment_id: 'uuid NOT NULL',
      action: `${text(50)} NOT NULL`,
      user_id: 'uuid',
      created_at: NOW,
      salt: 'text',
      threshold: 'integer',
      flag_id: 'uuid',
    },
    constraints: {
      experiment_disturbances_pkey: 'PRIMARY KEY (id)',
      experiment_disturbances_experiment_id_fkey:
        'FOREIGN KEY (experiment_id) REFERENCES experiments(id) ON DELETE CASCADE',
      experiment_disturbances_flag_id_fkey: 'FOREIGN KEY (flag_id) REFERENCES flags(id) ON DELETE SET NULL',
      experiment_disturbances_user_id_fkey: 'FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE SET NULL',
    },
    indexes: { idx_experiment_disturbances_experiment_id: 'btree (experiment_id, created_at)' },
    commented: ['action', 'user_id', 'salt', 'threshold', 'flag_id'],
  },
};
