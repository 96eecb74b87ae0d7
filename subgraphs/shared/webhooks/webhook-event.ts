/**
 * The events that webhooks get: their kinds, and the members of each kind's payload. A test compares the guide's tables
 * with this one, and the payloads that other tests receive (docs/guides/webhooks.md).
 */
import type { Environment, SafetyLevel } from '../../../core/model.ts';

/** The members that every event about a flag has. They are read from the flag when the event is written. */
const FLAG = { flagKey: 'string', environment: 'environment', safetyLevel: 'safetyLevel' } as const;
/** The actor. Both members are null where the control plane itself acted. */
const ACTOR = { userId: 'uuid?', apiKeyId: 'uuid?' } as const;
/**
 * The members that events about change requests have beside those of their first flag: all flags of a set. The safety
 * level is then the highest of theirs.
 */
const SET = { flagKeys: 'strings', flagCount: 'integer', environments: 'strings' } as const;
const DECIDED = {
  ...FLAG,
  ...SET,
  changeRequestId: 'uuid',
  action: 'string',
  requestedById: 'uuid',
  userId: 'uuid?',
  comment: 'string?',
} as const;

/** The types of a payload's members. A question mark says that the member may be null; none is ever left out. */
interface MemberTypes {
  readonly string: string;
  readonly strings: readonly string[];
  readonly 'string?': string | null;
  readonly uuid: string;
  readonly 'uuid?': string | null;
  readonly number: number;
  readonly integer: number;
  /** RFC 3339, in UTC, with milliseconds. */
  readonly time: string;
  readonly environment: Environment;
  readonly safetyLevel: SafetyLevel;
}

/** The name of a member's type. */
type MemberType = keyof MemberTypes;

/** The payload of each kind: member → type. */
export const WEBHOOK_PAYLOADS = {
  'change_request.waiting': {
    ...FLAG,
    ...SET,
    changeRequestId: 'uuid',
    action: 'string',
    requestedById: 'uuid',
  },
  'change_request.approved': DECIDED,
  'change_request.rejected': DECIDED,
  'change_request.cancelled': DECIDED,
  'kill_switch.pulled': { ...FLAG, ...ACTOR, reason: 'string?' },
  'kill_switch.released': { ...FLAG, ...ACTOR, reason: 'string?' },
  'rollout.halted': { ...FLAG, rolloutId: 'uuid', ruleId: 'uuid', outcome: 'string', reason: 'string' },
  'rollout.finished': { ...FLAG, rolloutId: 'uuid', ruleId: 'uuid', percentage: 'number' },
  'release.halted': { ...FLAG, ...ACTOR, releaseId: 'uuid', reason: 'string' },
  'release_policy.waiting': {
    environment: 'environment',
    proposalId: 'uuid',
    proposedById: 'uuid',
    loosens: 'strings',
  },
  'audit.chain_broken': { auditLogId: 'uuid?', fault: 'string' },
  'api_key.expiring': { apiKeyId: 'uuid', name: 'string', expiresAt: 'time', days: 'integer' },
  'fleet.offline': { vehicles: 'integer', offline: 'integer', percent: 'number', thresholdPercent: 'integer' },
  'webhook.disabled': { webhookId: 'uuid', name: 'string', reason: 'string' },
  'webhook.test': { webhookId: 'uuid', name: 'string' },
} as const satisfies Record<string, Readonly<Record<string, MemberType>>>;

/** The type of an event as receivers see it, such as `kill_switch.pulled`. */
export type WebhookKind = keyof typeof WEBHOOK_PAYLOADS;

/** All kinds, in the order of the guide. */
// oxlint-disable-next-line typescript/consistent-type-assertions -- Object.keys gives the table's own keys
export const WEBHOOK_KINDS = Object.keys(WEBHOOK_PAYLOADS) as readonly WebhookKind[];

/** The kinds of events about a flag. */
export type FlagKind = {
  [Kind in WebhookKind]: (typeof WEBHOOK_PAYLOADS)[Kind] extends typeof FLAG ? Kind : never;
}[WebhookKind];

/** The whole payload of a kind. */
export type WebhookPayload<Kind extends WebhookKind> = {
  readonly [Member in keyof (typeof WEBHOOK_PAYLOADS)[Kind]]: (typeof WEBHOOK_PAYLOADS)[Kind][Member] extends MemberType
    ? MemberTypes[(typeof WEBHOOK_PAYLOADS)[Kind][Member]]
    : never;
};

/** The part of a payload that is not read from the flags. */
export type FlagPayload<Kind extends FlagKind> = Omit<WebhookPayload<Kind>, keyof typeof FLAG | keyof typeof SET>;
