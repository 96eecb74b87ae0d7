/**
 * The reason why a rollout is paused, in the reader's language: what the control plane says by itself is known, the
 * rest is quoted.
 */
import type { Spoken } from '../words/spoken.ts';

type Told = (parts: readonly string[], spoken: Spoken) => string;

/** The control plane's own reasons (docs/guides/rollouts.md, "What stops a rollout by itself"). */
const KNOWN: readonly (readonly [RegExp, Told])[] = [
  [/^kill switch$/, (_, { words }) => words.rollouts.reasons.killSwitch],
  [/^flag disabled$/, (_, { words }) => words.rollouts.reasons.flagDisabled],
  [/^rule disabled$/, (_, { words }) => words.rollouts.reasons.ruleDisabled],
  [
    /^lowered to ([\d.]+) % by hand$/,
    ([share], { words, formats }) => words.rollouts.reasons.lowered(formats.percent(Number(share))),
  ],
  [/^its rule's (.+) changed by hand$/, ([parts = ''], { words }) => words.rollouts.reasons.changed(parts)],
  [/^flag raised to ASIL-D: a second person must approve$/, (_, { words }) => words.rollouts.reasons.secondPerson],
  [
    /^flag raised to .+: the guard's metric (.+) must be declared first$/,
    ([metric = ''], { words }) => words.rollouts.reasons.declare(metric),
  ],
  [
    /^no measurement of (.+) under treatment for (\d+) (minutes|seconds)$/,
    ([metric = '', count, unit], { words, formats }) =>
      words.rollouts.reasons.silent(metric, formats.duration(Number(count) * (unit === 'minutes' ? 60 : 1))),
  ],
  [/^experiment "(.*)" is running$/, ([name = ''], { words }) => words.rollouts.reasons.experiment(name)],
  [/^The user who scheduled it /, (_, { words }) => words.rollouts.reasons.person],
];

/** Gives the reason as a phrase. What a person has written stands in quotation marks. */
export function pauseReason(reason: string, spoken: Spoken): string {
  for (const [form, told] of KNOWN) {
    const match = form.exec(reason);
    if (match !== null) return told(match.slice(1), spoken);
  }
  return spoken.words.quoted(reason);
}
