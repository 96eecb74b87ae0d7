/** The operations between the agent and the tests' control plane, and what they carry. */
import type { SignedFlag } from '../link/operations.ts';
import type { SigningKey } from './signing.ts';

/** The part of the public API that this version of the agent needs. */
export const WIRE_SDL = `
  enum Environment { DEVELOPMENT STAGING PRODUCTION }
  type SignedFlag { key: String! revision: Int! removed: Boolean! jws: String! }
  type FlagSync { environment: Environment! revision: Int! full: Boolean! flags: [SignedFlag!]! statement: String! proof(partitioned: Boolean): String! }
  type FlagChange { environment: Environment! revision: Int! previousRevision: Int! signed: SignedFlag! statement: String! proof(partitioned: Boolean): String! spreadSeconds: Int }
  type Query { flagSync(environment: Environment!, since: Int, nonce: String): FlagSync! flagProof(environment: Environment!, partitioned: Boolean): String! vehicleFacts(nonce: String!): String! vehicleBackup(agent: String!): VehicleBackup }
  type VehicleBackup { content: String! digest: String! backedUpAt: String! }
  scalar JSON
  input MetricInput { flagKey: String! variant: String! metricName: String! value: Float! timestamp: String! tags: JSON }
  input MetricBatchInput { batchId: ID! items: [MetricInput!]! }
  type MetricReceipt { accepted: Int! duplicates: Int! dropped: Int! }
  input AgentHeartbeatInput { swVersion: String agentVersion: String agentMemoryMb: Int agentCpuPercent: Float cacheSizeMb: Float appliedRevision: Int clockOffsetSeconds: Float refusals: [String!] pending: [PendingFlagInput!] evaluated: [EvaluatedFlagInput!] }
  enum FlagFaultKind { NOT_SERVABLE OUTSIDE_CONTRACT EVALUATION_ERROR RESTARTS REPORTED_BY_PROGRAM RETURNED }
  input VehicleFaultInput { flagKey: String! revision: Int! kind: FlagFaultKind! message: String! occurredAt: String! }
  input FaultReportInput { faults: [VehicleFaultInput!]! }
  input PendingFlagInput { key: String! revision: Int! }
  input EvaluatedFlagInput { key: String! revision: Int! }
  input VehicleBackupInput { agent: String! content: String! }
  type Mutation { reportMetrics(input: MetricBatchInput!): MetricReceipt! agentHeartbeat(input: AgentHeartbeatInput!): Boolean! reportFaults(input: FaultReportInput!): Boolean! backUpVehicleState(input: VehicleBackupInput!): Boolean! }
  type Subscription { flagChanges(environment: Environment!): FlagChange! }
`;

/** The answer to a sync. */
export interface SyncMessage {
  environment: string;
  revision: number;
  full: boolean;
  flags: SignedFlag[];
  proof: string;
}

/** A change on a stream. */
export interface ChangeMessage {
  environment: string;
  revision: number;
  previousRevision: number;
  signed: SignedFlag;
  proof: string;
  spreadSeconds?: number;
}

/** The claims of a proof that the test control plane signs. */
export interface ProofOptions {
  /** The time of the proof, in Unix seconds. */
  readonly issuedAt?: number;
  readonly nonce?: string | null;
  readonly revision?: number;
  readonly key?: SigningKey;
  /** The partition whose set it names. */
  readonly partition?: string;
  /** The partition that it names: that one, or none in the form that is older than partitions. */
  readonly named?: string | null;
  /** The vehicle to which it assigns the partition. */
  readonly vin?: string;
}

/** A batch of measurements that an agent has sent. */
export interface ReportedBatch {
  batchId: string;
  items: {
    flagKey: string;
    variant: string;
    metricName: string;
    value: number;
    timestamp: string;
    tags: object | null;
  }[];
}

/** A fault that an agent has sent. */
export interface ReportedFault {
  flagKey: string;
  revision: number;
  kind: string;
  message: string;
  occurredAt: string;
}

/** A heartbeat that an agent has sent. */
export interface ReportedHeartbeat {
  swVersion?: string;
  agentVersion: string;
  agentMemoryMb: number;
  agentCpuPercent: number;
  cacheSizeMb: number;
  pending?: { key: string; revision: number }[];
  evaluated?: { key: string; revision: number }[];
  appliedRevision?: number;
  clockOffsetSeconds?: number;
  refusals?: readonly string[];
}
