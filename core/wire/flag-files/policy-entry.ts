/**
 * Reads the release policy of an environment's file. Pure. Its content is checked as `setReleasePolicy` checks it, with
 * the same codes; a file's own faults are members that are unknown or of another type.
 */
import { FleetFlagError } from '../../errors.ts';
import { isJsonObject } from '../../json/json-value.ts';
import { is } from '../../json/shape.ts';
import type { JsonObject, JsonValue } from '../../model.ts';
import { parseReleasePolicy, type StageDraft } from '../../releases/policy-input.ts';
import { GUARD_ACTIONS, type ReleaseGuardDraft } from '../../releases/release-guard.ts';
import type { ReleasePolicy } from '../../releases/release-policy.ts';
import { GUARD_DIRECTIONS } from '../../rollouts/rollout-guard.ts';
import type { FileFault } from './environment-file.ts';

/** A release policy in the file, which does not name the environment. */
export type PolicyEntry = Omit<ReleasePolicy, 'environment'>;

/** The name of the policy in the file. */
export const POLICY_MEMBER = 'releasePolicy';

const MEMBERS = ['stages', 'canary', 'safetyLevels', 'maximumFaultyVehicles', 'maximumFaultyPercent', 'guards'];
const STAGE_MEMBERS = ['percentage', 'soak', 'minimumVehicles'];
const GUARD_NUMBERS = ['maxWorsePercent', 'bound', 'confidenceLevel', 'minimumVehicles'] as const;
const GUARD_MEMBERS = ['metric', 'worse', 'action', 'silence', ...GUARD_NUMBERS];
const CANARY_MEMBERS = ['vins', 'models', 'regions'];

const number = is.optional(is.number);
/** Says whether a guard has members of the right types. */
const isGuardDraft = is.shape({
  metric: is.string,
  worse: is.oneOf(GUARD_DIRECTIONS),
  action: is.oneOf(GUARD_ACTIONS),
  maxWorsePercent: number,
  bound: number,
  confidenceLevel: number,
  minimumVehicles: number,
  silence: is.optional(is.string),
});

type Refuse = (path: string, message: string) => void;

function checkMembers(object: JsonObject, known: readonly string[], path: string, refuse: Refuse): void {
  for (const name of Object.keys(object))
    if (!known.includes(name)) refuse(`${path}.${name}`, `Unknown member; expected one of ${known.join(', ')}.`);
}

function checkNumber(value: JsonValue | undefined, path: string, refuse: Refuse): void {
  if (value !== undefined && typeof value !== 'number') refuse(path, 'Expected a number.');
}

function readStage(stage: JsonValue, path: string, refuse: Refuse): StageDraft {
  if (!isJsonObject(stage)) {
    refuse(path, 'Expected an object.');
    return { percentage: 0, soak: null };
  }
  checkMembers(stage, STAGE_MEMBERS, path, refuse);
  const { percentage, soak, minimumVehicles } = stage;
  if (typeof percentage !== 'number') refuse(`${path}.percentage`, 'Expected a number.');
  checkNumber(minimumVehicles, `${path}.minimumVehicles`, refuse);
  return { percentage: Number(percentage), soak, minimumVehicles: Number(minimumVehicles ?? 0) };
}

function readStages(stages: JsonValue | undefined, path: string, refuse: Refuse): StageDraft[] {
  if (Array.isArray(stages)) return stages.map((stage, index) => readStage(stage, `${path}.${index}`, refuse));
  refuse(path, 'Expected a list; [] for a policy without stages.');
  return [];
}

/** Gives a guard of a file; null where it is refused. */
function readGuard(guard: JsonValue, path: string, refuse: Refuse): ReleaseGuardDraft | null {
  if (!isJsonObject(guard)) {
    refuse(path, 'Expected an object.');
    return null;
  }
  checkMembers(guard, GUARD_MEMBERS, path, refuse);
  for (const name of GUARD_NUMBERS) checkNumber(guard[name], `${path}.${name}`, refuse);
  const { metric, worse, action, silence } = guard;
  if (!is.string(metric)) refuse(`${path}.metric`, 'Expected a text.');
  if (!is.oneOf(GUARD_DIRECTIONS)(worse)) refuse(`${path}.worse`, `Expected one of ${GUARD_DIRECTIONS.join(', ')}.`);
  if (!is.oneOf(GUARD_ACTIONS)(action)) refuse(`${path}.action`, `Expected one of ${GUARD_ACTIONS.join(', ')}.`);
  if (!is.optional(is.string)(silence)) refuse(`${path}.silence`, 'Expected an ISO 8601 duration.');
  return isGuardDraft(guard) ? guard : null;
}

function readGuards(guards: JsonValue | undefined, path: string, refuse: Refuse): ReleaseGuardDraft[] {
  if (Array.isArray(guards))
    return guards.flatMap((guard, index) => readGuard(guard, `${path}.${index}`, refuse) ?? []);
  if (guards !== undefined) refuse(path, 'Expected a list.');
  return [];
}

/** Gives the policy of a file, or all faults of its form, or else the first fault of its content. */
export function readPolicyEntry(policy: unknown): {
  readonly entry: PolicyEntry | null;
  readonly faults: readonly FileFault[];
} {
  if (policy === undefined) return { entry: null, faults: [] };
  const faults: FileFault[] = [];
  const refuse: Refuse = (path, message) => faults.push({ path, message, code: 'BAD_USER_INPUT' });
  if (!isJsonObject(policy)) {
    refuse(POLICY_MEMBER, 'Expected an object; leave it out to keep the policy that is there.');
    return { entry: null, faults };
  }
  checkMembers(policy, MEMBERS, POLICY_MEMBER, refuse);
  const { canary, safetyLevels, maximumFaultyVehicles, maximumFaultyPercent } = policy;
  const stages = readStages(policy['stages'], `${POLICY_MEMBER}.stages`, refuse);
  if (canary !== undefined && !isJsonObject(canary)) refuse(`${POLICY_MEMBER}.canary`, 'Expected an object.');
  if (isJsonObject(canary)) checkMembers(canary, CANARY_MEMBERS, `${POLICY_MEMBER}.canary`, refuse);
  if (safetyLevels !== undefined && !Array.isArray(safetyLevels))
    refuse(`${POLICY_MEMBER}.safetyLevels`, 'Expected a list.');
  checkNumber(maximumFaultyVehicles, `${POLICY_MEMBER}.maximumFaultyVehicles`, refuse);
  checkNumber(maximumFaultyPercent, `${POLICY_MEMBER}.maximumFaultyPercent`, refuse);
  const guards = readGuards(policy['guards'], `${POLICY_MEMBER}.guards`, refuse);
  if (faults.length > 0) return { entry: null, faults };
  try {
    const { environment: _, ...entry } = parseReleasePolicy(
      {
        // The import names it.
        environment: 'production',
        stages,
        canary: isJsonObject(canary) ? canary : null,
        safetyLevels: Array.isArray(safetyLevels) ? safetyLevels : null,
        maximumFaultyVehicles: maximumFaultyVehicles === undefined ? null : Number(maximumFaultyVehicles),
        maximumFaultyPercent: maximumFaultyPercent === undefined ? null : Number(maximumFaultyPercent),
        guards,
      },
      POLICY_MEMBER,
    );
    return { entry, faults };
  } catch (error) {
    if (!(error instanceof FleetFlagError)) throw error;
    const { code, message, details } = error;
    // Each fault of a policy has its path.
    return { entry: null, faults: [{ path: String(details.field), message, code }] };
  }
}
