/** No acknowledged change is lost, doubled or reordered; one that was answered with an error is there or not, whole. */
import type { Exchange, Finding, Law, Truth } from '../history.ts';

type Version = Truth['versions'][number];

const CHANGES = new Set(['set', 'enable', 'disable', 'kill', 'release']);

/** The number of rows of the audit log that each version needs. */
const ACTIONS = new Set([
  'CREATE_FLAG',
  'UPDATE_FLAG',
  'ENABLE_FLAG',
  'DISABLE_FLAG',
  'KILL_SWITCH',
  'RELEASE_KILL_SWITCH',
  'CREATE_RULE',
  'UPDATE_RULE',
  'DELETE_RULE',
]);

/** The version before each version of the same flag. */
function predecessors(versions: readonly Version[]): Map<Version, Version | undefined> {
  const last = new Map<string, Version>();
  const before = new Map<Version, Version | undefined>();
  for (const version of versions) {
    before.set(version, last.get(version.flag));
    last.set(version.flag, version);
  }
  return before;
}

/** Whether a version is what a change asked for. */
function fits({ call }: Exchange, version: Version): boolean {
  if (call.op === 'set') return version.value === call.value;
  if (call.op === 'enable') return version.enabled;
  if (call.op === 'disable') return !version.enabled;
  // A second kill leaves the flag as it is, with the reason of the first.
  if (call.op === 'kill') return version.killed;
  return call.op === 'release' && !version.killed;
}

const name = ({ call }: Exchange) => JSON.stringify(call);

/** Each acknowledged change is the version of its flag at the revision that the answer named. */
export const acknowledgedChangesStay: Law = ({ truth }, exchanges) => {
  const at = new Map(truth.versions.map((version) => [version.revision, version]));
  const findings: Finding[] = [];
  for (const exchange of exchanges) {
    const { call, answer } = exchange;
    if (!CHANGES.has(call.op) || !('flag' in call) || answer?.ok !== true) continue;
    const version = at.get(answer.flag?.revision ?? -1);
    if (version?.flag !== call.flag || !fits(exchange, version))
      findings.push({
        law: 'lost change',
        detail: `${name(exchange)} was acknowledged at revision ${answer.flag?.revision}, which is ${JSON.stringify(version ?? null)}`,
      });
  }
  return findings;
};

/** Each token that a change brings is brought by one version at most, and by none where the change was refused. */
export const changesAreMadeOnce: Law = ({ truth }, exchanges) => {
  const before = predecessors(truth.versions);
  const brought = new Map<string, number[]>();
  const note = (token: string, revision: number) => brought.set(token, [...(brought.get(token) ?? []), revision]);
  for (const [version, former] of before) {
    if (version.value !== former?.value) note(`value ${version.value}`, version.revision);
    for (const reason of version.reasons)
      if (former?.reasons.includes(reason) !== true) note(`reason ${reason}`, version.revision);
  }
  const findings: Finding[] = [];
  for (const exchange of exchanges) {
    const { call, answer } = exchange;
    const token =
      call.op === 'set' || call.op === 'propose'
        ? `value ${call.value}`
        : call.op === 'kill'
          ? `reason ${call.reason}`
          : null;
    if (token === null) continue;
    const revisions = brought.get(token) ?? [];
    if (revisions.length > 1)
      findings.push({ law: 'doubled change', detail: `${name(exchange)} was made at ${revisions.join(' and ')}` });
    if (answer?.ok === false && answer.isRefusal && revisions.length > 0)
      findings.push({
        law: 'refused change that is there',
        detail: `${name(exchange)} was refused with ${answer.code}, and was made at revision ${revisions[0]}`,
      });
  }
  return findings;
};

/** A change that was acknowledged before another was requested has the lower revision. */
export const changesKeepTheirOrder: Law = (_, exchanges) => {
  const made = exchanges.flatMap((exchange) =>
    CHANGES.has(exchange.call.op) && exchange.answer?.ok === true && exchange.answer.flag != null
      ? [{ exchange, revision: exchange.answer.flag.revision }]
      : [],
  );
  const byEnd = [...made].sort((a, b) => a.exchange.until - b.exchange.until);
  const findings: Finding[] = [];
  let next = 0;
  let highest: (typeof made)[number] | undefined;
  for (const later of [...made].sort((a, b) => a.exchange.from - b.exchange.from)) {
    for (; next < byEnd.length && byEnd[next]!.exchange.until < later.exchange.from; next += 1)
      if (highest === undefined || byEnd[next]!.revision > highest.revision) highest = byEnd[next];
    if (highest !== undefined && highest.revision > later.revision)
      findings.push({
        law: 'reordered change',
        detail: `${name(later.exchange)} has revision ${later.revision}, and ${name(highest.exchange)}, which was acknowledged before it was requested, has ${highest.revision}`,
      });
  }
  return findings;
};

/** A change with an expected revision follows that revision of its flag. */
export const expectedRevisionsHold: Law = ({ truth }, exchanges) => {
  const before = predecessors(truth.versions);
  const at = new Map(truth.versions.map((version) => [version.revision, version]));
  return exchanges.flatMap((exchange) => {
    const { call, answer } = exchange;
    if (!('expected' in call) || call.expected === null || answer?.ok !== true) return [];
    const version = at.get(answer.flag?.revision ?? -1);
    const former = version && before.get(version);
    // A change that changes nothing keeps its revision.
    if (version === undefined || version.revision === call.expected || former?.revision === call.expected) return [];
    return [
      {
        law: 'stale change',
        detail: `${name(exchange)} was made at revision ${version.revision}, after revision ${former?.revision ?? 0} of its flag`,
      },
    ];
  });
};

/** Revisions are gapless, and each has one version of one flag and one row in the audit log. */
export const revisionsAreWhole: Law = ({ truth }) => {
  const findings: Finding[] = [];
  const revisions = truth.versions.map(({ revision }) => revision);
  revisions.forEach((revision, index) => {
    if (revision !== index + 1)
      findings.push({ law: 'gap in the revisions', detail: `place ${index + 1} has revision ${revision}` });
  });
  if (truth.revision !== revisions.length)
    findings.push({
      law: 'half a change',
      detail: `the environment has revision ${truth.revision}, and ${revisions.length} versions`,
    });
  const count = <Item>(items: readonly Item[], keyOf: (item: Item) => string) =>
    items.reduce(
      (counts, item) => counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1),
      new Map<string, number>(),
    );
  const before = predecessors(truth.versions);
  const isKill = (version: Version) => version.killed && before.get(version)?.killed !== true;
  const versions = count(truth.versions, (version) => `${version.flag}${isKill(version) ? ', killed' : ''}`);
  const rows = count(
    truth.audit.filter(({ action }) => ACTIONS.has(action)),
    ({ flag, action }) => `${flag}${action === 'KILL_SWITCH' ? ', killed' : ''}`,
  );
  for (const [what, number] of versions) {
    const recorded = rows.get(what) ?? 0;
    // A second kill changes nothing, and is recorded.
    if (recorded < number || (recorded > number && !what.endsWith(', killed')))
      findings.push({
        law: 'half a change',
        detail: `${what}: ${number} versions, and ${recorded} rows in the audit log`,
      });
  }
  const last = new Map(truth.versions.map(({ flag, revision }) => [flag, revision]));
  for (const [flag, revision] of truth.living)
    if (last.get(flag) !== revision)
      findings.push({
        law: 'half a change',
        detail: `${flag} is at revision ${revision}, and its last version is of ${last.get(flag) ?? 0}`,
      });
  if (!truth.isAuditIntact) findings.push({ law: 'broken audit log', detail: 'the chain of hashes is broken' });
  return findings;
};
