/** Previews of the vehicles that a rule would reach. */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import type { Environment, JsonObject } from '../../../core/model.ts';
import { splitAudience } from '../../../core/evaluation/rules/audience.ts';
import { expandRules } from '../../../core/evaluation/segments/expand-rules.ts';
import type { Segments } from '../../../core/evaluation/segments/segment.ts';
import { readSegments, resolveSegment, segmentsIn } from '../../shared/between-subgraphs/segments.ts';
import { validateFlagKey } from '../../../core/validation/validate-flag.ts';
import { validateRuleInput, type RuleDraft, type ValidRule } from '../../../core/validation/validate-rule.ts';
import { parseWhitelist } from '../../../core/evaluation/rules/vehicle-whitelist.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { AudienceCounter, reachOf, type Audience } from './audience.ts';
import { countReachable, readGroups } from './audience-store.ts';
import { findFlagFacts, type FlagFacts } from './flag-facts.ts';

/** The vehicles read at once. Evaluating so many takes some 10 ms, during which the process does nothing else. */
const PAGE = 20_000;

/** Gives the VINs that a rule names, or null when it names none; a rule that names VINs can match no others. */
function namedVins({ type, conditions }: Pick<ValidRule, 'type' | 'conditions'>): readonly string[] | null {
  if (type !== 'vehicle_whitelist') return null;
  const listed = parseWhitelist(conditions, 'rule.conditions');
  // A segment without vehicles leaves an empty list of digests.
  return listed.form === 'vins' ? [...listed.vins] : [];
}

/** The id of the rule whose reach is counted. */
const PREVIEW = 'preview';

/** A rule that a segment alone narrows, and a flag that it could belong to. */
const SEGMENT_RULE = { type: 'vehicle_target', priority: 100, enabled: true, value: null, variant: null } as const;
const ANY_FLAG = { key: 'segment', type: 'boolean', environment: 'production' } as const;

/** The use cases of audience previews. */
export class AudienceService {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly pageSize = PAGE,
  ) {}

  /**
   * Counts the registered vehicles that a rule would reach: the rule alone, as if it and its flag were enabled. Only a
   * vehicle's agent knows the vehicle's attributes, so a user_attribute rule reaches all or none here: all when it
   * requires each of its attributes to be missing.
   *
   * @throws BAD_USER_INPUT or LIMIT_EXCEEDED at `flagKey` or `rule.…`, as createRule does at `input.…`; NOT_FOUND when
   * no living flag has the key
   */
  async preview(flagKey: string, input: RuleDraft): Promise<Audience> {
    const flag = await findFlagFacts(this.prisma, validateFlagKey(flagKey, 'flagKey'));
    if (flag === null)
      throw new FleetFlagError('NOT_FOUND', `There is no flag ${JSON.stringify(flagKey)}.`, { field: 'flagKey' });
    const written = validateRuleInput(input, flag.type, 'rule');
    const known = await readSegments(this.prisma, segmentsIn([written]));
    for (const key of segmentsIn([written]))
      if (!known.has(key)) throw badInput('rule.conditions.segment', `There is no segment ${JSON.stringify(key)}.`);
    return this.#count(flag, written, known, flag.environment);
  }

  /** Counts the registered vehicles of all environments that belong to a segment of these conditions. */
  async ofSegment(conditions: JsonObject): Promise<Audience> {
    const written = { ...SEGMENT_RULE, conditions: { segment: 'this' } };
    return this.#count(ANY_FLAG, written, new Map([['this', await resolveSegment(this.prisma, conditions)]]), null);
  }

  async #count(
    flag: Pick<FlagFacts, 'key' | 'type' | 'environment'>,
    written: ValidRule,
    segments: Segments,
    environment: Environment | null,
  ): Promise<Audience> {
    const [rule = { ...written, id: PREVIEW }] = expandRules([{ ...written, id: PREVIEW }], segments);
    const counter = new AudienceCounter(reachOf(flag, rule));
    const vins = splitAudience(rule.conditions).audience === undefined ? namedVins(rule) : null;
    for await (const groups of readGroups(this.prisma, environment, vins, this.pageSize)) {
      for (const group of groups) counter.add(group);
    }
    return vins === null ? counter.result() : counter.result(await countReachable(this.prisma, environment));
  }
}
