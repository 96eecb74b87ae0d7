/** Previewing whom a rule would reach. */
import { FleetFlagError } from '../../../core/errors.ts';
import { validateFlagKey } from '../../../core/validation/validate-flag.ts';
import { validateRuleInput, type RuleDraft, type ValidRule } from '../../../core/validation/validate-rule.ts';
import { parseWrittenWhitelist } from '../../../core/evaluation/rules/vehicle-whitelist.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { AudienceCounter, reachOf, type Audience } from './audience.ts';
import { countReachable, readGroups } from './audience-store.ts';
import { findFlagFacts } from './flag-facts.ts';

/** Vehicles read at once. Evaluating so many takes some 10 ms, for which nothing else of the process runs. */
const PAGE = 20_000;

/** Where a rule names its vehicles, those; no other can match. */
function namedVins({ type, conditions }: ValidRule): string[] | null {
  return type === 'vehicle_whitelist' ? [...parseWrittenWhitelist(conditions, 'rule.conditions').vins] : null;
}

export class AudienceService {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly pageSize = PAGE,
  ) {}

  /**
   * Which registered vehicles a rule would reach: the rule alone, as though it were enabled and its flag too.
   * Attributes of a vehicle are known to its agent only, so a user_attribute rule reaches all or nobody here: all when
   * it asks of each attribute that it is missing.
   *
   * @throws BAD_USER_INPUT or LIMIT_EXCEEDED at `flagKey` or `rule.…` as createRule would at `input.…`, and NOT_FOUND
   *   when no living flag has the key
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
