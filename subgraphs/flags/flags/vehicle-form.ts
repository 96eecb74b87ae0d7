/**
 * The form of a flag that vehicles have: while a release is under way, the stable content in its usual place and the
 * new one beside it. Whatever evaluates a flag on the server evaluates this form. Source: releases.md, "Stages".
 */
import { isDeepStrictEqual } from 'node:util';
import type { EvaluationContext, FlagContent, JsonObject, Release } from '../../../core/model.ts';
import { compileFlag } from '../../../core/evaluation/evaluate.ts';
import { compareRules } from '../../../core/evaluation/rules/rule-order.ts';
import { canaryContent } from './staged-release.ts';
import { flagContent, requirementContent, ruleContent, type Flag, type Rule, type StagedRelease } from './flag.ts';

/** A flag as vehicles have it. */
export type VehicleForm = Omit<Flag, 'release'> & { readonly release: Release | null };

/** Says whether a rule is a kill switch, which stands outside both contents of a release. */
export const isSwitch = ({ type }: Pick<Rule, 'type'>): boolean => type === 'kill_switch';

function releaseOf(flag: Flag, { id, percentage, canary, stable }: StagedRelease): Release {
  const { defaultValue, rules, requires, excludes, valueSchema, activation } = flag;
  // A definition is sent to every vehicle, so members that are empty or as in the stable content are left out.
  const next: FlagContent = {
    defaultValue,
    rules: rules.filter((rule) => !isSwitch(rule)),
    ...(requires.length > 0 && { requires }),
    ...(excludes.length > 0 && { excludes }),
    ...(!isDeepStrictEqual(valueSchema, stable.valueSchema) && { valueSchema }),
    ...(activation !== stable.activation && { activation }),
  };
  return { id, percentage, ...(canary !== null && { canary }), ...(stable.disabled && { stable: 'DISABLED' }), next };
}

/** Gives a flag in the form that vehicles have. Kill switches stand in the usual place, and count for everybody. */
export function vehicleForm(flag: Flag): VehicleForm {
  const { release } = flag;
  if (release === null) return { ...flag, release };
  const { disabled: _, ...stable } = release.stable;
  const rules = [...flag.rules.filter(isSwitch), ...stable.rules].sort(compareRules);
  return { ...flag, ...stable, rules, release: releaseOf(flag, release) };
}

/** Gives a flag with the one content that counts for the vehicle of a context, as if no release were under way. */
export function seenBy(flag: Flag, context: EvaluationContext): VehicleForm {
  const form = vehicleForm(flag);
  const isIn = compileFlag(form).release?.isIn(context) === true;
  return { ...(isIn ? flag : form), release: null };
}

/** Gives what vehicles evaluate of a flag, or null where no vehicle has it. */
export function evaluatedContent(form: VehicleForm): JsonObject | null {
  if (form.draft || form.archivedAt !== null) return null;
  const content = flagContent(form);
  if (form.release === null) return content;
  const { id, percentage, canary = null, stable, next } = form.release;
  const { defaultValue, rules, requires = [], excludes = [], valueSchema, activation } = next;
  return {
    ...content,
    release: {
      ...{ id, percentage },
      ...(canary !== null && { canary: canaryContent(canary) }),
      ...(stable !== undefined && { stable }),
      next: {
        ...{ defaultValue, rules: rules.map(ruleContent) },
        ...{ requires: requires.map(requirementContent), excludes: [...excludes] },
        ...(valueSchema !== undefined && { valueSchema }),
        ...(activation !== undefined && { activation }),
      },
    },
  };
}
