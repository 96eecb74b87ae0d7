/** The content that a change request would give a flag, as vehicles would evaluate it. */
import type { JsonObject, RuleDefinition } from '../../../core/model.ts';
import type { Segments } from '../../../core/evaluation/segments/segment.ts';
import { expandRules } from '../../../core/evaluation/segments/expand-rules.ts';
import { segmentsIn } from '../../shared/between-subgraphs/segments.ts';
import type { RequestedChange } from '../changes/requests/change-request.ts';
import { areRules, ruleContent } from '../flags/flag.ts';

/** Gives the rules that vehicles would have; null where none would have the flag. Throws an Error for damaged ones. */
function rulesOf({
  proposed: { rules, archived },
}: Pick<RequestedChange, 'proposed'>): readonly RuleDefinition[] | null {
  if (archived === true) return null;
  if (!areRules(rules)) throw new Error('change_requests.proposed holds no rules of a flag');
  return rules;
}

/** Gives the keys of the segments that the rules of a proposed flag name. */
export const segmentsOfChange = (change: Pick<RequestedChange, 'proposed'>): string[] =>
  segmentsIn(rulesOf(change) ?? []);

/**
 * Gives what vehicles would evaluate of a flag after its change; null where no vehicle would have it.
 *
 * @param segments the segments that the proposed rules name, as they would be after the change
 */
export function proposedContent(change: Pick<RequestedChange, 'proposed'>, segments: Segments): JsonObject | null {
  const rules = rulesOf(change);
  // The stored segments are those of the time of the request, for reviewers; they are no content of the flag.
  const { segments: _, ...content } = change.proposed;
  return rules && { ...content, rules: expandRules(rules, segments).map(ruleContent) };
}
