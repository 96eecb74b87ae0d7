/** The validation of what a restore brings back: it may have become stricter since the content was kept. */
import { isDeepStrictEqual } from 'node:util';
import { FleetFlagError, badInput } from '../../../../core/errors.ts';
import { contractFault } from '../../../../core/evaluation/values/contract-fault.ts';
import { checkFlagValue } from '../../../../core/evaluation/values/flag-value.ts';
import { validateRuleInput } from '../../../../core/validation/validate-rule.ts';
import type { Flag } from '../flag.ts';

function checkContent(present: Flag, restored: Flag): void {
  const { type, defaultValue, rules } = restored;
  if (!isDeepStrictEqual(defaultValue, present.defaultValue)) checkFlagValue(type, defaultValue, 'defaultValue');
  for (const rule of rules) {
    if (!present.rules.includes(rule)) validateRuleInput(rule, type, `rules.${rule.id}`);
  }
  const fault = contractFault({ ...restored, release: null });
  if (fault === null) return;
  const place = fault.kind === 'rule' ? `rules.${rules[fault.ruleIndex]!.id}.${fault.path}` : fault.path;
  throw badInput(place, `Outside the value contract: it ${fault.message}`);
}

/**
 * Checks the value and rules that `present` would get from `restored`, as if they were new. What it has anyway is not
 * checked.
 *
 * @throws BAD_USER_INPUT or LIMIT_EXCEEDED at `path`; the message names the place in the content
 */
export function checkRestored(present: Flag, restored: Flag, path: string): void {
  try {
    checkContent(present, restored);
  } catch (error) {
    if (!(error instanceof FleetFlagError)) throw error;
    const { field, ...details } = error.details;
    throw new FleetFlagError(
      error.code,
      `The content of then is not accepted today, at ${String(field)}: ${error.message} Restore another revision.`,
      { ...details, field: path },
    );
  }
}
