/** The texts of scopes, dependencies, segments and tags. */
import { number } from './counts.ts';

export const scopes = {
  segments: 'Segments',
  scopes: {
    scope: 'Models',
    scopeHint: 'The models that get the flag. None: every vehicle. Disable the flag before you take one away.',
    everyVehicle: 'Every vehicle',
    requires: 'Requires',
    requiresHint: 'Keys of flags that must serve something; with variants: lane_keep: on, eco',
    excludes: 'Excludes',
    excludesHint: 'Keys of flags beside which this one serves its default value.',
    dependents: 'Needed by',
    takesAlong: (count: number) =>
      `This takes ${number.format(count)} ${count === 1 ? 'flag' : 'flags'} along: they require this one, and serve their default values with it.`,
    tookAlong: (count: number) =>
      `${number.format(count)} ${count === 1 ? 'flag that requires' : 'flags that require'} this one now ${count === 1 ? 'serves its default value' : 'serve their default values'}, too.`,
    frees: (count: number) =>
      `This may switch ${number.format(count)} ${count === 1 ? 'flag' : 'flags'} on: they stand aside for this one, or for one that it takes along.`,
    freed: (count: number) =>
      `${number.format(count)} ${count === 1 ? 'flag that stood aside' : 'flags that stood aside'} may serve now.`,
    loads: 'What vehicles store',
    loadsLead: 'Flags and bytes of each partition; a vehicle stores those of its model, at most 100 flags and 1.5 MB.',
    loadOf: 'Model',
    otherModels: 'All other models',
    partition: 'Gets the flags of',
    flags: 'Flags',
    bytes: 'Bytes',
    tags: 'Tags',
    noTags: 'none',
    changeTags: 'Change tags',
    saveTags: 'Save tags',
    tagsHint:
      'Letters, digits, dots, underscores and hyphens. Segments select vehicles by tags; one of them is enough.',
  },
  segment: {
    title: 'Segment',
    newSegment: 'New segment',
    lead: 'Named audiences. Rules of any flag can name one, and a change of it changes all of these flags together.',
    none: 'There are no segments yet.',
    noSuch: 'There is no segment with this key.',
    gone: 'The segment has been deleted meanwhile. What you have typed is still here, and saving makes it again.',
    changedMeanwhile: 'The segment has changed meanwhile.',
    toSegments: 'All segments',
    usedBy: 'Flags',
    unused: 'No rule names it.',
    moreFlags: (count: string) => `and ${count} more`,
    key: 'Key',
    keyHint: 'The name in rules. It cannot be changed later.',
    comparisons: 'Attributes',
    comparisonsHint:
      'A list of comparisons as JSON, such as [{"attribute": "plan", "operator": "eq", "values": ["premium"]}]',
    audience: 'Who belongs to it',
    show: 'Show whom the change concerns',
    save: 'Save the segment',
    saved: 'Saved.',
    waits: 'The change waits until a second person approves it, because a flag of the segment is ASIL-D.',
    remove: 'Delete the segment',
    removeLead: 'No rule names it. It cannot be brought back; whoever needs it again makes a new one of the same key.',
    tagged: (tags: string) => `Vehicles with the tag ${tags}.`,
    from: (key: string) => `from the segment ${key}`,
    members: (matched: string, total: string) => `${matched} of ${total} vehicles`,
    inRule: 'Segment',
    inRuleHint: 'The key of a segment that narrows the rule; in a rule by vehicle it may stand alone.',
    alone: (key: string) => `Vehicles in the segment ${key}.`,
    narrowed: (key: string) => `Only vehicles in the segment ${key}.`,
  },
};
