/**
 * The exports of `@fleetflag/agent` for Node programs.
 */
export { FleetFlagAgent } from './assembly/fleet-flag-agent.ts';
export type { FlagChange } from './assembly/agent-events.ts';
export { PinnedKeys, type PinnedKey } from './trust/pinned-keys.ts';
export type { VehicleStateReport } from '../core/activation/drive.ts';
export type { DriveStatus } from './activation/change-over-options.ts';
export type { PendingFlag } from './activation/active-flags.ts';
export type { KnownGoodStatus } from './activation/known-good.ts';
export type { AgentTimings, FleetFlagAgentOptions } from './assembly/agent-options.ts';
export type { AgentStatus } from './api/agent-status.ts';
export type { EvaluationDetails, EvaluationErrorCode } from './api/evaluation-details.ts';
export type { EvaluatedFlag, ProgramContext } from './evaluate/flag-evaluator.ts';
export type { FactDifference, VehicleFacts } from './facts/known-facts.ts';
export type { Log, LogFields, LogLevel } from './log.ts';
export type { EvaluationEvent, EvaluationEventOptions } from './telemetry/evaluation-events.ts';
export type { TrackOptions } from './telemetry/metrics/metric-recorder.ts';
export { LocalServer, type LocalServerOptions } from './api/local-server.ts';
