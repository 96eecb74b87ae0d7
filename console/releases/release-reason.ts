/**
 * The reason why a release holds or has ended, in the reader's language: what the control plane says by itself is
 * known, the rest is quoted.
 */
import type { Environment } from '../generated/operations.ts';
import type { ReleaseWords } from '../words/release-words.ts';
import type { Spoken } from '../words/spoken.ts';

/** The words with those of releases. */
export interface SpokenOfReleases extends Spoken {
  readonly texts: ReleaseWords;
}

type Said = (parts: readonly string[], spoken: SpokenOfReleases) => string;

const ENVIRONMENT_NAMES: Readonly<Record<string, Environment>> = {
  production: 'PRODUCTION',
  staging: 'STAGING',
  development: 'DEVELOPMENT',
};

function environmentName(name: string, { words }: Spoken): string {
  const environment = ENVIRONMENT_NAMES[name];
  return environment === undefined ? name : words.environments[environment];
}

/** Gives a number of a reason in the reader's language; `nothing` where nobody has measured. */
const shown = (text: string, formats: Spoken['formats']) =>
  Number.isNaN(Number(text)) ? '–' : formats.rounded(Number(text));

/** The control plane's own reasons (docs/guides/releases.md, "Follow it"). */
const KNOWN: readonly (readonly [RegExp, Said])[] = [
  [/^The kill switch is pulled$/, (_, { texts }) => texts.reasons.killed],
  [/^The flag is disabled$/, (_, { texts }) => texts.reasons.disabled],
  [
    /^(\d+) of (\d+) vehicles report the new content$/,
    ([reported, needed], { texts, formats }) =>
      texts.reasons.silent(formats.number(Number(reported)), formats.number(Number(needed))),
  ],
  [
    /^(\d+) of (\d+) vehicles have evaluated the new content$/,
    ([evaluated, needed], { texts, formats }) =>
      texts.reasons.unevaluated(formats.number(Number(evaluated)), formats.number(Number(needed))),
  ],
  [/^Too many vehicles report faults$/, (_, { texts }) => texts.reasons.faulty],
  [
    /^The control plane was away, and vehicles have a minute to report what they saw meanwhile$/,
    (_, { texts }) => texts.reasons.unseen,
  ],
  [
    /^Vehicles report faults: (\d+) of (\d+) \([^)]*\) with the new content, (\d+) of (\d+) \([^)]*\) of the others$/,
    (parts, { texts, formats }) => {
      const [ring = '', ringAll = '', rest = '', restAll = ''] = parts.map((part) => formats.number(Number(part)));
      return texts.reasons.pastLimit(ring, ringAll, rest, restAll);
    },
  ],
  [
    /^The guard of (\S+) is crossed: (\S+) in (\d+) vehicles with the new content, (\S+) in (\d+) of the others, where (\S+)% worse is the limit$/,
    ([metric = '', ...numbers], { texts, formats }) => {
      const [ring = '', ringAll = '', rest = '', restAll = '', limit = ''] = numbers.map((one) => shown(one, formats));
      return texts.reasons.guardCompared(metric, ring, ringAll, rest, restAll, limit);
    },
  ],
  [
    /^The guard of (\S+) is crossed: (\S+) in (\d+) vehicles with the new content, where (\S+) is the bound$/,
    ([metric = '', ...numbers], { texts, formats }) => {
      const [ring = '', ringAll = '', bound = ''] = numbers.map((one) => shown(one, formats));
      return texts.reasons.guardBound(metric, ring, ringAll, bound);
    },
  ],
  [/^The guard of (\S+) has no fresh verdict$/, ([metric = ''], { texts }) => texts.reasons.guardUnwatched(metric)],
  [
    /^No vehicle with the new content measures (\S+)$/,
    ([metric = ''], { texts }) => texts.reasons.guardUnmeasured(metric),
  ],
  [
    /^The guard of (\S+) counts (\d+) vehicles with the new content and (\d+) of the others, and needs (\d+)$/,
    ([metric = '', ...numbers], { texts, formats }) => {
      const [ring = '', rest = '', needed = ''] = numbers.map((one) => shown(one, formats));
      return texts.reasons.guardUncounted(metric, ring, rest, needed);
    },
  ],
  [/^The flag was archived$/, (_, { texts }) => texts.reasons.archived],
  [/^The flag was moved to (\w+)$/, ([name = ''], spoken) => spoken.texts.reasons.moved(environmentName(name, spoken))],
  [
    /^(\w+) no longer has a release policy$/,
    ([name = ''], spoken) => spoken.texts.reasons.noPolicy(environmentName(name, spoken)),
  ],
  [/^The flag was switched on again$/, (_, { texts }) => texts.reasons.switchedOn],
  [/^A change has brought the stable content back$/, (_, { texts }) => texts.reasons.takenBack],
  [/^A later change takes its place$/, (_, { texts }) => texts.reasons.later],
];

/** Gives the reason as a phrase. What a person has written stands in quotation marks. */
export function releaseReason(reason: string, spoken: SpokenOfReleases): string {
  for (const [form, said] of KNOWN) {
    const match = form.exec(reason);
    if (match !== null) return said(match.slice(1), spoken);
  }
  return spoken.words.quoted(reason);
}
