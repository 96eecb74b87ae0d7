/** No client sees a revision go back, or misses what was acknowledged before it asked. */
import type { Finding, FlagView, Law } from '../history.ts';

const same = (a: FlagView, b: FlagView) => a.value === b.value && a.enabled === b.enabled && a.killed === b.killed;

/** This holds of answers from memory as well, which the control plane gives while the database is down. */
export const readsGoForward: Law = ({ truth }, exchanges) => {
  const findings: Finding[] = [];
  const at = new Map(truth.versions.map((version) => [`${version.flag} ${version.revision}`, version]));
  /** Acknowledged revisions of each flag, in the order of their acknowledgement. */
  const acknowledged = exchanges
    .flatMap(({ call, answer, until }) =>
      'flag' in call && call.op !== 'read' && answer?.ok === true && answer.flag != null && answer.applied !== false
        ? [{ flag: call.flag, revision: answer.flag.revision, until }]
        : [],
    )
    .sort((a, b) => a.until - b.until);
  const seen = new Map<string, number>();
  let next = 0;
  const committed = new Map<string, number>();
  for (const { client, call, answer, from } of exchanges) {
    for (; next < acknowledged.length && acknowledged[next]!.until < from; next += 1) {
      const { flag, revision } = acknowledged[next]!;
      committed.set(flag, Math.max(committed.get(flag) ?? 0, revision));
    }
    if (call.op !== 'read' || answer?.ok !== true || answer.flag == null) continue;
    const { flag } = answer;
    const version = at.get(`${call.flag} ${flag.revision}`);
    if (version === undefined || !same(version, flag))
      findings.push({
        law: 'read of what never was',
        detail: `${client} read ${call.flag} as ${JSON.stringify(flag)}, which at that revision is ${JSON.stringify(version ?? null)}`,
      });
    const who = `${client} ${call.flag}`;
    if (flag.revision < (seen.get(who) ?? 0))
      findings.push({
        law: 'read that went back',
        detail: `${client} read ${call.flag} at revision ${flag.revision} after ${seen.get(who)}`,
      });
    if (flag.revision < (committed.get(call.flag) ?? 0))
      findings.push({
        law: 'stale read',
        detail: `${client} read ${call.flag} at revision ${flag.revision}; ${committed.get(call.flag)} was acknowledged before`,
      });
    seen.set(who, Math.max(seen.get(who) ?? 0, flag.revision));
  }
  return findings;
};
