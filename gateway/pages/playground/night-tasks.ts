/**
 * The playground's tasks: named operations for a night on call. Each is valid against the schema and runs as it is,
 * once its variables are filled in (night-tasks.db.test.ts).
 */

/** An operation that the playground offers, with its variables. */
export interface NightTask {
  readonly title: string;
  /** One sentence that says when to use it. */
  readonly explanation: string;
  readonly operation: string;
  /** The operation's variables, with an example or an empty string where something is to be filled in. */
  readonly variables: Readonly<Record<string, unknown>>;
}

/** Tasks that belong together, under a title. */
export interface NightTaskGroup {
  readonly title: string;
  readonly tasks: readonly NightTask[];
}

const STOP: NightTaskGroup = {
  title: 'Stop a feature',
  tasks: [
    {
      title: 'Find a flag',
      explanation: 'By words in its key, name or description, in any language.',
      operation: `query FindFlag($search: String!, $environment: Environment) {
  flags(filter: { search: $search, environment: $environment }, first: 20) {
    totalCount
    nodes { key name enabled killed safetyLevel environment }
  }
}`,
      variables: { search: '', environment: 'PRODUCTION' },
    },
    {
      title: 'Show a flag',
      explanation: 'Its rules, rollouts, waiting changes and last five changes.',
      operation: `query ShowFlag($key: String!) {
  flag(key: $key) {
    key name description type defaultValue enabled killed safetyLevel environment revision
    activeVehicles lastEvaluationAt updatedAt updatedBy { name email }
    rules { id type priority enabled conditions value variant rollout { id status currentPercentage nextStepAt } }
    changeRequests(status: PENDING) { id action createdAt requestedBy { name } }
    history(first: 5) { nodes { action createdAt user { name } afterValue } }
  }
}`,
      variables: { key: '' },
    },
    {
      title: 'Kill a flag',
      explanation: 'Every vehicle gets the default value at once; no approval is needed.',
      operation: `mutation KillFlag($key: String!, $reason: String!) {
  killSwitch(flagKey: $key, reason: $reason) {
    applied
    flag { key killed defaultValue environment revision }
  }
}`,
      variables: { key: '', reason: '' },
    },
    {
      title: 'See how far it has got',
      explanation: 'The vehicles that have stored a revision, and those that have not; null: the present one.',
      operation: `query HowFar($environment: Environment!, $revision: Int, $status: VehicleStatus) {
  rolloutProgress(environment: $environment, revision: $revision) {
    revision applied total percent
    missing(status: $status, first: 20) {
      totalCount
      nodes { vin model region status lastSeenAt appliedRevision agentRefusals }
    }
  }
  fleet { total online offline maintenance }
}`,
      variables: { environment: 'PRODUCTION', revision: null, status: 'ONLINE' },
    },
    {
      title: 'Watch changes reach vehicles',
      explanation: 'Every change of an environment, as the fleet receives it.',
      operation: `subscription WatchFlagChanges($environment: Environment!) {
  flagChanges(environment: $environment) {
    revision previousRevision
    flag { key name enabled killed updatedBy { name } }
  }
}`,
      variables: { environment: 'PRODUCTION' },
    },
    {
      title: 'Release a flag',
      explanation: 'Its rules decide again; of an ASIL-D flag this waits for a second person.',
      operation: `mutation ReleaseFlag($key: String!, $reason: String!) {
  releaseKillSwitch(flagKey: $key, reason: $reason) {
    applied
    flag { key killed revision }
    changeRequest { id status }
  }
}`,
      variables: { key: '', reason: '' },
    },
  ],
};

const CHANGES: NightTaskGroup = {
  title: 'Changes that wait',
  tasks: [
    {
      title: 'List change requests',
      explanation: 'What waits for a reviewer, with the difference that each would make.',
      operation: `query WaitingChanges {
  changeRequests(status: PENDING) {
    id action outdated createdAt
    requestedBy { name email }
    flag { key safetyLevel environment }
    before
    after
  }
}`,
      variables: {},
    },
    {
      title: 'Approve a change',
      explanation: 'Applies it at once; you cannot approve your own.',
      operation: `mutation ApproveChange($id: ID!, $comment: String) {
  approveChangeRequest(id: $id, comment: $comment) {
    id status reviewedAt
    flag { key revision }
  }
}`,
      variables: { id: '', comment: null },
    },
    {
      title: 'Reject a change',
      explanation: 'The flag stays as it is; the requester reads your comment.',
      operation: `mutation RejectChange($id: ID!, $comment: String!) {
  rejectChangeRequest(id: $id, comment: $comment) { id status comment reviewedAt }
}`,
      variables: { id: '', comment: '' },
    },
    {
      title: 'Watch change requests',
      explanation: 'Every request from now on, when it is made and when it is decided.',
      operation: `subscription WatchChangeRequests {
  changeRequestChanges { id status action requestedBy { name } reviewedBy { name } flag { key } }
}`,
      variables: {},
    },
  ],
};

const ROLLOUTS: NightTaskGroup = {
  title: 'Rollouts',
  tasks: [
    {
      title: 'List rollouts that go on',
      explanation: 'Those that wait for approval, run or are paused, with what their guards have found.',
      operation: `query ActiveRollouts {
  flags(filter: { hasRollout: true }, first: 100) {
    nodes {
      key environment
      rules {
        id
        rollout {
          id status currentPercentage nextStepAt pausedReason
          steps { percentage at appliedAt }
          guardStatus { verdict worsePercentAtLeast treatmentVehicles controlVehicles computedAt }
        }
      }
    }
  }
}`,
      variables: {},
    },
    {
      title: 'Pause a rollout',
      explanation: 'It stays at its present percentage until it is resumed.',
      operation: `mutation PauseRollout($id: ID!, $reason: String) {
  pauseRollout(id: $id, reason: $reason) { id status currentPercentage pausedReason }
}`,
      variables: { id: '', reason: '' },
    },
    {
      title: 'Resume a rollout',
      explanation: 'Later steps are in your name; of an ASIL-D flag this waits for a second person.',
      operation: `mutation ResumeRollout($id: ID!) {
  resumeRollout(id: $id) { id status nextStepAt changeRequest { id status } }
}`,
      variables: { id: '' },
    },
    {
      title: 'Cancel a rollout',
      explanation: 'Ends it for good; the percentage stays as it is.',
      operation: `mutation CancelRollout($id: ID!, $reason: String) {
  cancelRollout(id: $id, reason: $reason) { id status currentPercentage }
}`,
      variables: { id: '', reason: '' },
    },
  ],
};

const VEHICLES: NightTaskGroup = {
  title: 'Vehicles',
  tasks: [
    {
      title: 'Look at one vehicle',
      explanation: 'Its agent’s health, and the value that it gets for every flag.',
      operation: `query ShowVehicle($vin: String!, $environment: Environment!) {
  vehicle(vin: $vin) {
    vin model region swVersion status lastSeenAt environment appliedRevision
    agentVersion agentMemoryMb agentCpuPercent cacheSizeMb clockOffsetSeconds agentRefusals
    evaluations(environment: $environment) { flagKey value variant reason revision }
  }
}`,
      variables: { vin: '', environment: 'PRODUCTION' },
    },
    {
      title: 'Find vehicles',
      explanation: 'By model, region, software version, status or the beginning of the VIN.',
      operation: `query FindVehicles($filter: VehicleFilter) {
  vehicles(filter: $filter, first: 50) {
    totalCount
    nodes { vin model region swVersion status lastSeenAt appliedRevision }
    pageInfo { hasNextPage endCursor }
  }
}`,
      variables: { filter: { status: 'OFFLINE' } },
    },
    {
      title: 'Ask why a vehicle gets a value',
      explanation: 'Each rule as it is tried: whether it matched, what it asks for and what the vehicle has.',
      operation: `query WhyThisValue($key: String!, $context: EvaluationContext!) {
  explainEvaluation(key: $key, context: $context) {
    evaluation { value variant reason revision }
    facts { vin model swVersion region }
    rules { outcome rule { id type priority enabled } checks { about expected actual holds } }
  }
}`,
      variables: { key: '', context: { vin: '' } },
    },
    {
      title: 'Watch vehicles come and go',
      explanation: 'Each vehicle whose status changes, of one region or of all.',
      operation: `subscription WatchVehicles($region: String) {
  vehicleStatusChanges(region: $region) { vin model region status lastSeenAt }
}`,
      variables: { region: null },
    },
  ],
};

const WHO: NightTaskGroup = {
  title: 'Who did what',
  tasks: [
    {
      title: 'Read the audit log of a flag',
      explanation: 'Who changed it, when, from where, and what it was before.',
      operation: `query FlagAuditLog($key: String!) {
  auditLogs(filter: { flagKey: $key }, first: 20) {
    nodes { createdAt action user { name email } apiKey { name } ipAddress beforeValue afterValue }
    pageInfo { hasNextPage endCursor }
  }
}`,
      variables: { key: '' },
    },
    {
      title: 'Watch the audit log',
      explanation: 'Every entry from now on, in the order of the chain.',
      operation: `subscription WatchAuditLog {
  auditTrail { createdAt action user { email } apiKey { name } flag { key } }
}`,
      variables: {},
    },
    {
      title: 'Verify the audit log',
      explanation: 'Recomputes its chain; for SAFETY and ADMIN. Note headHash elsewhere.',
      operation: `query VerifyAuditLog($from: DateTime, $to: DateTime) {
  auditIntegrity(from: $from, to: $to) { intact checked firstBrokenId fault headHash }
}`,
      variables: { from: null, to: null },
    },
    {
      title: 'Ask what I may do',
      explanation: 'Your account, your role and the operations that you may call.',
      operation: `query WhoAmI {
  me { kind role user { name email } permissions }
}`,
      variables: {},
    },
  ],
};

/** The tasks in the order of the menu. */
export const NIGHT_TASKS: readonly NightTaskGroup[] = [STOP, CHANGES, ROLLOUTS, VEHICLES, WHO];
