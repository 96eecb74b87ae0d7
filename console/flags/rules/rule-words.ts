/** Rules as sentences: for whom a rule is, whatever its conditions look like (docs/reference/evaluation.md). */
import { isMembers, itemsOf, jsonText, membersOf, stringsOf, textAt, type JsonMembers } from '../../json.ts';
import type { Spoken } from '../../words/spoken.ts';

/** The VINs of a list that are written out; of the others, how many there are. */
const SHOWN_VINS = 5;

/** Gives what narrows a rule to some vehicles, each as one phrase. */
function targetPhrases({ models, sw_version: version, regions }: JsonMembers, { words }: Spoken): string[] {
  const phrases: string[] = [];
  if (models !== undefined) phrases.push(words.rules.models(words.either(stringsOf(models))));
  if (typeof version === 'string') phrases.push(words.rules.version(version));
  if (regions !== undefined) phrases.push(words.rules.regions(words.either(stringsOf(regions))));
  return phrases;
}

/** Gives one comparison of an attribute as a phrase; `values` are written as JSON, so that "1" is not 1. */
function comparisonPhrase(comparison: unknown, { words }: Spoken): string {
  const { attribute, operator, values, exists } = membersOf(comparison);
  const name = typeof attribute === 'string' ? attribute : jsonText(attribute);
  const list = itemsOf(values);
  const isMissing = exists === false || (operator === 'exists' && list[0] === false);
  if (operator === undefined || operator === 'exists')
    return isMissing ? words.rules.attributeMissing(name) : words.rules.attributePresent(name);
  const known = textAt(words.rules.operators, operator) ?? jsonText(operator);
  return words.rules.comparison(name, known, words.either(list.map(jsonText)));
}

/**
 * Gives the sentences of a rule's conditions.
 *
 * @param type the rule's type, in GraphQL's spelling or the stored one
 */
export function ruleSentences(type: string, conditions: unknown, spoken: Spoken): string[] {
  const { words } = spoken;
  if (!isMembers(conditions)) return [jsonText(conditions)];
  const { segment, ...own } = conditions;
  if (typeof segment !== 'string' || type.toUpperCase() === 'KILL_SWITCH')
    return ownSentences(type, conditions, spoken);
  if (Object.keys(own).length === 0) return [words.segment.alone(segment)];
  return [...ownSentences(type, own, spoken), words.segment.narrowed(segment)];
}

/** Gives the sentences of the conditions of a rule's type. */
function ownSentences(type: string, conditions: JsonMembers, spoken: Spoken): string[] {
  const { words, formats } = spoken;
  switch (type.toUpperCase()) {
    case 'PERCENTAGE_ROLLOUT': {
      const { rollout_percentage: percentage, salt, sticky } = conditions;
      const share = typeof percentage === 'number' ? formats.percent(percentage) : jsonText(percentage);
      return [
        words.rules.share(share, words.all(targetPhrases(conditions, spoken))),
        ...(typeof salt === 'string' ? [words.rules.salt(salt)] : []),
        ...(sticky === false ? [words.rules.notSticky] : []),
      ];
    }
    case 'VEHICLE_TARGET':
      return [words.rules.target(words.all(targetPhrases(conditions, spoken)))];
    case 'VEHICLE_WHITELIST': {
      const vins = stringsOf(conditions['vins']);
      const [shown, more] = [vins.slice(0, SHOWN_VINS).join(', '), vins.length - SHOWN_VINS];
      return [words.rules.whitelist(vins.length, shown, Math.max(0, more))];
    }
    case 'USER_ATTRIBUTE': {
      const { all } = conditions;
      const comparisons = Array.isArray(all) ? itemsOf(all) : [conditions];
      return [words.rules.attributes(words.all(comparisons.map((one) => comparisonPhrase(one, spoken))))];
    }
    case 'KILL_SWITCH': {
      const { force_disabled: isPulled, reason } = conditions;
      const why = typeof reason === 'string' ? reason : '';
      return [isPulled === true ? words.rules.killing(why) : words.rules.notKilling(why)];
    }
    default:
      return [jsonText(conditions)];
  }
}

/** Gives the sentences of a segment's conditions, all of which have to hold. */
export function segmentSentences({ vins, tags, all, ...target }: JsonMembers, spoken: Spoken): string[] {
  return [
    ...(Object.keys(target).length === 0 ? [] : ownSentences('VEHICLE_TARGET', target, spoken)),
    ...(all === undefined ? [] : ownSentences('USER_ATTRIBUTE', { all }, spoken)),
    ...(vins === undefined ? [] : ownSentences('VEHICLE_WHITELIST', { vins }, spoken)),
    ...(tags === undefined ? [] : [spoken.words.segment.tagged(spoken.words.either(stringsOf(tags)))]),
  ];
}

/** Gives what a rule serves: its own value, or what its flag gives for a rule without one. */
export function servedValue(
  { type, value, variant }: { readonly type: string; readonly value?: unknown; readonly variant?: string | null },
  flagType: string,
  { words }: Spoken,
): string | null {
  if (type.toUpperCase() === 'KILL_SWITCH') return null;
  const isBoolean = flagType.toUpperCase() === 'BOOLEAN';
  const served =
    value === null || value === undefined ? (isBoolean ? 'true' : words.rules.defaultValue) : jsonText(value);
  return variant === null || variant === undefined ? served : words.rules.servedAs(served, variant);
}
