/** Checks of what changes write by the flag's value contract. What a change leaves as it was is not checked again. */
import { isDeepStrictEqual } from 'node:util';
import { badInput } from '../../../../core/errors.ts';
import { contractFault, ruleFault, type ServingFlag } from '../../../../core/evaluation/values/contract-fault.ts';
import type { Flag, Rule } from '../../flags/flag.ts';

/** A flag as its contract reads it, with rules that errors can name. What a release keeps has been checked before. */
type ContractedFlag = Omit<ServingFlag, 'release'> & Pick<Flag, 'rules'>;

/**
 * Checks a flag whose contract or default value is written.
 *
 * @param given the input, with the members that are written
 * @throws BAD_USER_INPUT below `<path>.defaultValue` for a default value outside the contract; at
 *   `<path>.valueSchema` for a contract that a value does not fit which the flag has already: the message says which
 */
export function checkFields(
  flag: ContractedFlag,
  given: { readonly valueSchema?: unknown; readonly defaultValue?: unknown },
  path: string,
): void {
  if (given.valueSchema === undefined && given.defaultValue === undefined) return;
  const fault = contractFault({ ...flag, release: null });
  if (fault === null) return;
  if (fault.kind === 'default' && given.defaultValue !== undefined)
    throw badInput(`${path}.${fault.path}`, `Outside the flag's value contract: it ${fault.message}`);
  if (given.valueSchema === undefined) return;
  const rule = flag.rules[fault.ruleIndex];
  const owner = rule === undefined ? '' : ` of the ${rule.type} rule of priority ${rule.priority} (${rule.id})`;
  throw badInput(
    `${path}.valueSchema`,
    `The flag's present ${fault.path}${owner} is outside this contract: it ${fault.message} Change the value first.`,
  );
}

/**
 * Checks a rule that is new, or whose value is.
 *
 * @param flag the flag without it, or with its former state
 * @throws BAD_USER_INPUT below `<path>.value` for a value outside the flag's contract
 */
export function checkRuleValue(flag: Flag, rule: Rule, path: string): void {
  const former = flag.rules.find(({ id }) => id === rule.id);
  if (former !== undefined && isDeepStrictEqual(former.value ?? null, rule.value ?? null)) return;
  const fault = ruleFault(flag, rule);
  if (fault !== null) throw badInput(`${path}.${fault.path}`, `Outside the flag's value contract: it ${fault.message}`);
}
