/** The filters of the list of flags, as they stand in the page's address. */
import type { FlagFilter, FlagOrder } from '../generated/operations.ts';

/** The states by which flags are chosen. A flag that is held by a kill switch may be enabled or not. */
export const FLAG_STATES = [
  'all',
  'enabled',
  'disabled',
  'killed',
  'release',
  'holding',
  'rollout',
  'stale',
  'draft',
  'archived',
] as const;
export type FlagState = (typeof FLAG_STATES)[number];

export const SAFETY_LEVELS = ['ASIL_D', 'ASIL_B', 'SAFETY_RELEVANT', 'NON_CRITICAL'] as const;
export const FLAG_TYPES = ['BOOLEAN', 'STRING', 'NUMBER', 'JSON'] as const;
export const FLAG_ORDERS = ['updated', 'created', 'key', 'name'] as const;
export type FlagOrderName = (typeof FLAG_ORDERS)[number];
const ENVIRONMENTS = ['PRODUCTION', 'STAGING', 'DEVELOPMENT'] as const;

/** The filters and the order of the list; null: any. */
export interface FlagChoice {
  readonly search: string;
  readonly state: FlagState;
  readonly environment: (typeof ENVIRONMENTS)[number] | null;
  readonly safetyLevel: (typeof SAFETY_LEVELS)[number] | null;
  readonly type: (typeof FLAG_TYPES)[number] | null;
  readonly order: FlagOrderName;
}

function oneOf<Value extends string>(values: readonly Value[], text: string | null): Value | null {
  return values.find((value) => value === text) ?? null;
}

/** Reads the choice from an address's query. What it does not know counts as not chosen. */
export function readChoice(query: string): FlagChoice {
  const given = new URLSearchParams(query);
  return {
    search: given.get('search') ?? '',
    state: oneOf(FLAG_STATES, given.get('state')) ?? 'all',
    environment: oneOf(ENVIRONMENTS, given.get('environment')),
    safetyLevel: oneOf(SAFETY_LEVELS, given.get('level')),
    type: oneOf(FLAG_TYPES, given.get('type')),
    order: oneOf(FLAG_ORDERS, given.get('order')) ?? 'updated',
  };
}

/** Gives the choice as the members of an address's query; defaults are left out. */
export function choiceMembers({ search, state, environment, safetyLevel, type, order }: FlagChoice) {
  return {
    search: search.trim(),
    state: state === 'all' ? null : state,
    environment,
    level: safetyLevel,
    type,
    order: order === 'updated' ? null : order,
  };
}

/** Gives the choice as the API's filter. */
export function filterOf({ search, state, environment, safetyLevel, type }: FlagChoice): FlagFilter {
  const words = search.trim();
  return {
    ...(words !== '' && { search: words }),
    ...(environment !== null && { environment }),
    ...(safetyLevel !== null && { safetyLevel }),
    ...(type !== null && { type }),
    ...(state === 'enabled' && { enabled: true, killed: false }),
    ...(state === 'disabled' && { enabled: false }),
    ...(state === 'killed' && { killed: true }),
    ...(state === 'release' && { hasRelease: true }),
    ...(state === 'holding' && { releaseHolds: true }),
    ...(state === 'rollout' && { hasRollout: true }),
    ...(state === 'stale' && { stale: true }),
    ...(state === 'draft' && { draft: true }),
    ...(state === 'archived' && { archived: true }),
  };
}

const ORDERS = {
  updated: { field: 'UPDATED_AT', direction: 'DESC' },
  created: { field: 'CREATED_AT', direction: 'DESC' },
  key: { field: 'KEY', direction: 'ASC' },
  name: { field: 'NAME', direction: 'ASC' },
} as const satisfies Record<FlagOrderName, FlagOrder>;

/** Gives the order as the API takes it. */
export const orderOf = ({ order }: FlagChoice): FlagOrder => ORDERS[order];
