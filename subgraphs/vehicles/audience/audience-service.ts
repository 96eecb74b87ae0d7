/** Previews of the vehicles that a rule would reach. */
import { FleetFlagError } from '../../../core/errors.ts';
import { validateFlagKey } from '../../../core/validation/validate-flag.ts';
import { validateRuleInput, type RuleDraft, type ValidRule } from '../../../core/validation/validate-rule.ts';
import { parseWrittenWhitelist } from '../../../core/evaluation/rules/vehicle-whitelist.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { AudienceCounter, reachOf, type Audience } from './audience.ts';
import { countReachable, readGroups } from './audience-store.ts';
import { findFlagFacts } from './flag-facts.ts';

/** The vehicles read at once. Evaluating so many takes some 10 ms, during which the process does nothing else. */
const PAGE = 20_000;

/** Gives the VINs that a rule names, or null when it names none; a rule that names VINs can match no others. */
function namedVins({ type, conditions }: ValidRule): string[] | null {
  return type === 'vehicle_whitelist' ? [...parseWrittenWhitelist(conditions, 'rule.conditions').vins] : null;
}

/** The use case of an audience preview. */
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
    const rule = validateRuleInput(input, flag.type, 'rule');
    const counter = new AudienceCounter(reachOf(flag, rule));
    const vins = namedVins(rule);
    for await (const groups of readGroups(this.prisma, flag.environment, vins, this.pageSize)) {
      for (const group of groups) counter.add(group);
    }
    return vins === null ? counter.result() : counter.result(await countReachable(this.prisma, flag.environment));
  }
}
