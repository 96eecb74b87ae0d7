/** Flags as vehicles have them: in the form of a release, and with what the segments say that their rules name. */
import { segmentsIn } from '../../shared/between-subgraphs/segments.ts';
import type { RuleDefinition } from '../../../core/model.ts';
import type { Flag } from '../flags/flag.ts';
import { vehicleForm, type VehicleForm } from '../flags/vehicle-form.ts';
import { definitionIn } from '../signing/signing.ts';

/** Gives rules with the types and conditions that their signed forms have. */
function inSignedForm<Rule extends RuleDefinition>(rules: readonly Rule[], signed: readonly RuleDefinition[]): Rule[] {
  const forms = new Map(signed.map((rule) => [rule.id, rule]));
  return rules.map((rule) => {
    const form = forms.get(rule.id);
    return form === undefined ? rule : { ...rule, type: form.type, conditions: form.conditions };
  });
}

/**
 * Gives a flag in the form that vehicles have, with the rules that were signed, in which segments are what they said
 * then. The rules of a flag that names none stay as they are, and so do those of one that is not signed. Reads nothing,
 * so it answers while the database is down, too.
 */
export function asSigned(flag: Flag): VehicleForm {
  const form = vehicleForm(flag);
  const { release } = form;
  const named = segmentsIn([...form.rules, ...(release?.next.rules ?? [])]);
  if (flag.signedDefinition === '' || flag.archivedAt !== null || named.length === 0) return form;
  const signed = definitionIn(flag.signedDefinition);
  const rules = inSignedForm(form.rules, signed.rules);
  if (release === null) return { ...form, rules };
  const next = { ...release.next, rules: inSignedForm(release.next.rules, signed.release?.next.rules ?? []) };
  return { ...form, rules, release: { ...release, next } };
}
