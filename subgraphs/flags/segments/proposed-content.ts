/** The content that a change request would give a flag, as vehicles would evaluate it. */
import type { JsonObject, RuleDefinition } from '../../../core/model.ts';
import type { Segments } from '../../../core/evaluation/segments/segment.ts';
import { expandRules } from '../../../core/evaluation/segments/expand-rules.ts';
import { segmentsIn } from '../../shared/between-subgraphs/segments.ts';
import type { RequestedChange } from '../changes/requests/change-request.ts';
import { areRules, ruleContent } from '../flags/flag.ts';

/** Gives the rules that vehicles would have; null where none would have the flag. */
function rulesOf({
  proposed: { rules, archived },
}: Pick<RequestedChange, 'proposed'>): readonly RuleDefinition[] | null {
  return archived === true || !areRules(rules) ? null : rules;
}

/** Gives the keys of the segments that the rules of a proposed flag name. */
export const segmentsOfChange = (change: Pick<RequestedChange, 'proposed'>): string[] =>
  segmentsIn(rulesOf(change) ?? []);

/**
 * Gives what vehicles would evaluate of a flag after its change; null where no vehicle would have it.
 *
 * @param segments those that its rules name, as they would be then
 */
export function proposedContent(change: Pick<RequestedChange, 'proposed'>, segments: Segments): JsonObject | null {
  const rules = rulesOf(change);
  const { segments: _, ...content } = change.proposed;
  return rules && { ...content, rules: expandRules(rules, segments).map(ruleContent) };
}
