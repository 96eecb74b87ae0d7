/** A segment as it stands in its form, its conditions as the API takes them, and the forms of two people made one. */
import { itemsOf, membersOf, stringsOf } from '../json.ts';
import { mergedDraft } from '../changes/merged-draft.ts';
import { mergedVins, vinsIn } from '../flags/rules/rule-draft.ts';

/** A segment as people type it. */
export interface SegmentDraft {
  readonly name: string;
  readonly models: readonly string[];
  readonly version: string;
  readonly regions: readonly string[];
  readonly tags: readonly string[];
  readonly vins: string;
  /** JSON: the list of comparisons. */
  readonly comparisons: string;
}

/** Gives a segment as it stands in its form; undefined: a new one. */
export function segmentDraftOf(segment?: { readonly name: string; readonly conditions: unknown }): SegmentDraft {
  const { models, sw_version: version, regions, tags, vins, all } = membersOf(segment?.conditions);
  return {
    name: segment?.name ?? '',
    models: stringsOf(models),
    version: typeof version === 'string' ? version : '',
    regions: stringsOf(regions),
    tags: stringsOf(tags),
    vins: stringsOf(vins).join('\n'),
    comparisons: itemsOf(all).length === 0 ? '' : JSON.stringify(all, null, 2),
  };
}

function comparisonsIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The control plane says what is wrong with a text that is no list.
    return text;
  }
}

/** Gives the conditions of a form as the API takes them. */
export function conditionsOf({ models, version, regions, tags, vins, comparisons }: SegmentDraft): object {
  return {
    ...(models.length > 0 && { models }),
    ...(version.trim() !== '' && { sw_version: version.trim() }),
    ...(regions.length > 0 && { regions }),
    ...(tags.length > 0 && { tags }),
    ...(vins.trim() !== '' && { vins: vinsIn(vins) }),
    ...(comparisons.trim() !== '' && { all: comparisonsIn(comparisons) }),
  };
}

/** Gives a segment as somebody has typed it on top of what somebody else has changed meanwhile; VINs one by one. */
export function mergedSegment(base: SegmentDraft, mine: SegmentDraft, now: SegmentDraft): SegmentDraft {
  return { ...mergedDraft(base, mine, now), vins: mergedVins(base.vins, mine.vins, now.vins) };
}
