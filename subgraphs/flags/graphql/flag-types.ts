/** The types of flags, their rules and versions, and of segments. */
import type { CallerIdentity } from '../../../core/access/caller.ts';
import { narrowRules } from '../../../core/evaluation/segments/expand-rules.ts';
import { segmentOf } from '../../../core/evaluation/segments/segment.ts';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import { variantOf } from '../../../core/evaluation/rules/rule-variant.ts';
import { signedConditions } from '../../../core/evaluation/rules/whitelist-digest.ts';
import type { CompleteResolvers } from '../../shared/subgraph/complete-resolvers.ts';
import { ENUMS } from '../../shared/subgraph/graphql-enums.ts';
import { isUuid, pageAfter, readKeyPage } from '../../../core/wire/api/pagination.ts';
import type { Resolvers, ResolversParentTypes, Warning } from '../generated/resolvers.ts';
import type { Flag } from '../flags/flag.ts';
import { evaluatedContent } from '../flags/vehicle-form.ts';
import { MAX_CHANGES } from '../changes/sets/set-edits.ts';
import { previewContents } from '../changes/edits/change-preview.ts';
import { asSigned } from '../segments/signed-rules.ts';
import { evaluationsOf, evaluatedContentOf } from './evaluations.ts';
import type { FlagsServices } from './services.ts';
import { isThere, maySee, namedFlags, statisticsOf, userReferenceOrNull } from './references.ts';

/**
 * Gives the flags that a kill switch or a disabling of a flag concerns; none to a vehicle: they may be in other
 * partitions.
 */
async function concernedFlags(
  { environment, key }: Flag,
  how: 'transitive' | 'freed',
  services: FlagsServices,
  { caller }: CallerIdentity,
): Promise<Flag[]> {
  if (caller.kind === 'vehicle') return [];
  const keys = (await services.dependencies.load(environment)).dependents(key)[how];
  return (await namedFlags(services, keys)).filter(isThere);
}

/** Gives the warning that flags may be switched on by what stops another one; none where none can. */
function freedWarnings({ key }: Flag, freed: readonly Flag[]): Warning[] {
  const serving = freed.filter(({ enabled, rules }) => enabled && !isKilled(rules));
  if (serving.length === 0) return [];
  const names = serving.map((flag) => flag.key).join(', ');
  return [{ field: null, message: `${names} may serve now, because of excluding ${key} or what requires it.` }];
}

/** The resolvers of flags and of what belongs to them. */
export const flagTypes: Pick<
  CompleteResolvers<Resolvers, ResolversParentTypes>,
  | 'Flag'
  | 'Segment'
  | 'SegmentPreview'
  | 'Requirement'
  | 'FlagChangePayload'
  | 'ChangeSetPayload'
  | 'FlagVersion'
  | 'Rule'
  | 'Vehicle'
> = {
  Flag: {
    async __resolveReference(reference, { services, identity: { caller } }) {
      if ('id' in reference && !isUuid(reference.id)) return null;
      const flag =
        'id' in reference ? await services.byId.load(reference.id) : await services.byKey.load(reference.key);
      return flag !== null && maySee(caller, flag) ? flag : null;
    },
    killed: (flag) => isKilled(flag.rules),
    // The stored flag says whether there is one.
    release: ({ id, release }, _, { services }) => (release === null ? null : services.releaseOfFlag.load(id)),
    scope: ({ scope }) => (scope === null ? null : [...scope]),
    requires: ({ requires }) => [...requires],
    // A flag that is excluded may have left since.
    excludes: async ({ excludes }, _, { services, identity: { caller } }) =>
      (await namedFlags(services, excludes)).filter(isThere).filter((flag) => maySee(caller, flag)),
    dependents: (flag, _, { services, identity }) => concernedFlags(flag, 'transitive', services, identity),
    freed: (flag, _, { services, identity }) => concernedFlags(flag, 'freed', services, identity),
    totalEvaluations: async (flag, _, { services }) => (await statisticsOf(flag, services)).totalEvaluations,
    activeVehicles: async (flag, _, { services }) => (await statisticsOf(flag, services)).activeVehicles,
    lastEvaluationAt: async (flag, _, { services }) => (await statisticsOf(flag, services)).lastEvaluationAt,
    createdBy: (flag) => userReferenceOrNull(flag.createdById),
    updatedBy: (flag) => userReferenceOrNull(flag.updatedById),
    changeRequests: async ({ id }, { status = null }, { services }) =>
      (await services.requestsOf.load({ id, given: status })) ?? [],
    async previewChange(flag, { change }, { services }) {
      const restoring = (of: Flag, revision: number, path: string) => services.flags.restoring(of, revision, path);
      const { before, after } = await previewContents(
        flag,
        change,
        restoring,
        (of) => services.segments.expanded(of),
        (changed) => services.flags.checkDependencies(changed),
      );
      const [was, becomes] = [evaluatedContentOf(services, before), evaluatedContentOf(services, after)];
      return { evaluatedContents: { before: await was, after: await becomes } };
    },
    // A whitelist in it names other vehicles.
    evaluatedContent: (flag, _, { services, identity }) =>
      identity.caller.kind === 'vehicle' ? null : evaluatedContentOf(services, evaluatedContent(asSigned(flag))),
  },

  Segment: {
    __resolveReference: ({ key }, { services }) => services.segmentByKey.load(key),
    flags: ({ key }, page, { services }) => services.flagsOfSegment.load({ key, ...readKeyPage(page) }),
    flagCount: ({ key }, _, { services }) => services.flagCountOfSegment.load(key),
    createdBy: (segment) => userReferenceOrNull(segment.createdById),
    updatedBy: (segment) => userReferenceOrNull(segment.updatedById),
  },

  SegmentPreview: {
    flagCount: ({ changes }) => changes.length,
    changes: ({ changes }, page) => pageAfter(changes, page, ({ flag }) => flag.key),
  },

  Requirement: {
    async flag({ flag: key }, _, { services }) {
      const flag = await services.byKey.load(key);
      if (flag === null) throw new Error(`The required flag ${key} is gone`);
      return flag;
    },
    variants: ({ variants = null }) => (variants === null ? null : [...variants]),
  },

  FlagChangePayload: {
    warnings: async ({ given, flag, stops = false }, _, { services, identity }) => [
      ...(await services.flags.warningsOf(given === undefined ? [] : [given])),
      ...(stops ? freedWarnings(flag, await concernedFlags(flag, 'freed', services, identity)) : []),
    ],
  },

  ChangeSetPayload: {
    flags: ({ flags }, page) =>
      page.first == null && page.after == null ? flags.slice(0, MAX_CHANGES) : pageAfter(flags, page, ({ key }) => key),
    flagCount: ({ flags }) => flags.length,
    warnings: async ({ warnings, given = [] }, _, { services }) => [
      ...warnings,
      ...(await services.flags.warningsOf(given)),
    ],
  },

  FlagVersion: {
    createdBy: (version) => userReferenceOrNull(version.createdById),
  },

  Rule: {
    // Vehicles never receive other vehicles' VINs (design.md, "Trust in what a vehicle applies").
    async conditions(rule, _, { services, identity }) {
      if (identity.caller.kind !== 'vehicle') return rule.conditions;
      // Nor do they know segments: they get what the rule's own says.
      const key = segmentOf(rule);
      const segment = key === null ? null : await services.resolvedSegment.load(key);
      const segments = new Map(key === null || segment === null ? [] : [[key, segment]]);
      const [resolved = rule] = narrowRules([rule], segments);
      return signedConditions(resolved);
    },
    variant: (rule) => variantOf(rule),
    rollout: (rule, _, { services }) => services.rolloutOfRule.load(rule.id),
  },

  Vehicle: {
    __resolveReference: (reference) => reference,
    id: ({ vin }) => vin,
    async partition({ vin, environment: own = null }, { environment }, { services }) {
      // The gateway sends the name that the API has.
      const of = environment ?? (own === null ? null : ENUMS.Environment[own]);
      return of === null ? null : services.partitionOf.load({ environment: of, vin });
    },
    evaluations: (vehicle, { environment }, { services }) => evaluationsOf(services, environment, vehicle),
  },
};
