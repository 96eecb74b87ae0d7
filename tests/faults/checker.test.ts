/** The checker finds each breach: in a true history that nothing is wrong with, one thing is made wrong. */
import { expect, test } from '@jest/globals';
import { check } from './checker.ts';
import type { Answer, Call, Entry, FlagView, HeldEntry, Truth } from './history.ts';

interface Mutable {
  entries: Entry[];
  truth: { -readonly [Key in keyof Truth]: Truth[Key] };
}

let at = 0;
let ids = 0;
const view = (revision: number, value: number, more: Partial<FlagView> = {}): FlagView => ({
  revision,
  value,
  enabled: true,
  killed: false,
  ...more,
});
function exchange(client: string, call: Call, answer: Answer): Entry[] {
  const id = (ids += 1);
  return [
    { kind: 'call', at: (at += 1), id, client, call },
    { kind: 'answer', at: (at += 1), id, answer },
  ];
}
const state = (vin: string, revision: number, ...flags: HeldEntry[]): Entry => ({
  kind: 'state',
  at: (at += 1),
  vin,
  revision,
  complete: true,
  flags,
  gone: [],
});
const set = (flag: string, value: number, expected: number, revision: number) =>
  exchange('writer', { op: 'set', flag, value, expected }, { ok: true, applied: true, flag: view(revision, value) });

/** A small true history: two flags, a kill, a review, a schedule, a report and two vehicles. */
function trueHistory(): Mutable {
  at = ids = 0;
  const version = (flag: string, revision: number, value: number, more: Partial<Truth['versions'][number]> = {}) => ({
    flag,
    ...view(revision, value),
    by: 'writer@example.com',
    reasons: [],
    percentage: null,
    ...more,
  });
  const row = (flag: string, action: string) => ({ flag, action, by: null });
  return {
    entries: [
      { kind: 'start', at: 0, vin: 'A', revision: 0 },
      { kind: 'start', at: 0, vin: 'B', revision: 0 },
      state('A', 2, ['eco', 1, 1, false], ['lane', 2, 2, false]),
      ...set('eco', 11, 1, 3),
      ...exchange('reader', { op: 'read', flag: 'eco' }, { ok: true, flag: view(3, 11) }),
      state('A', 3, ['eco', 3, 3, false]),
      ...set('eco', 12, 3, 4),
      ...exchange(
        'writer',
        { op: 'set', flag: 'eco', value: 13, expected: 3 },
        { ok: false, code: 'CONFLICT', isRefusal: true },
      ),
      ...exchange('reader', { op: 'read', flag: 'eco' }, { ok: true, flag: view(4, 12) }),
      ...exchange(
        'stopper',
        { op: 'kill', flag: 'lane', reason: 'smoke' },
        { ok: true, applied: true, flag: view(5, 0, { killed: true }) },
      ),
      state('A', 5, ['eco', 4, 4, false], ['lane', 5, 5, true]),
      ...exchange(
        'proposer',
        { op: 'propose', flag: 'steer', value: 20 },
        { ok: true, applied: false, id: 'q2', flag: view(6, 0) },
      ),
      ...exchange('proposer', { op: 'approve-own', request: 'q2' }, { ok: false, code: 'FORBIDDEN', isRefusal: true }),
      ...exchange('approver', { op: 'approve', request: 'q2' }, { ok: true }),
      ...exchange('scheduler', { op: 'schedule', flag: 'rise', percentages: [10, 100] }, { ok: true, id: 'r1' }),
      ...exchange(
        'A',
        { op: 'report', vin: 'A', batch: 'b1', items: 3 },
        { ok: false, code: 'Error', isRefusal: false },
      ),
      ...exchange('A', { op: 'report', vin: 'A', batch: 'b1', items: 3 }, { ok: true }),
      state('A', 10, ['steer', 7, 7, false], ['rise', 10, 10, false]),
      state('B', 10, ['eco', 4, 4, false], ['lane', 5, 5, true], ['steer', 7, 7, false], ['rise', 10, 10, false]),
      { kind: 'calm', at: 1_000, revision: 10, tookMs: 900, missing: [] },
    ],
    truth: {
      revision: 10,
      versions: [
        version('eco', 1, 0),
        version('lane', 2, 0),
        version('eco', 3, 11),
        version('eco', 4, 12),
        version('lane', 5, 0, { killed: true, reasons: ['smoke'] }),
        version('steer', 6, 0),
        version('steer', 7, 20),
        version('rise', 8, 0, { percentage: 0 }),
        version('rise', 9, 0, { percentage: 10 }),
        version('rise', 10, 0, { percentage: 100 }),
      ],
      living: [
        ['eco', 4],
        ['lane', 5],
        ['steer', 7],
        ['rise', 10],
      ],
      audit: [
        row('eco', 'CREATE_FLAG'),
        row('lane', 'CREATE_FLAG'),
        row('eco', 'UPDATE_FLAG'),
        row('eco', 'UPDATE_FLAG'),
        row('lane', 'KILL_SWITCH'),
        row('steer', 'REQUEST_CHANGE'),
        row('steer', 'CREATE_FLAG'),
        row('steer', 'UPDATE_FLAG'),
        row('rise', 'CREATE_FLAG'),
        row('rise', 'UPDATE_RULE'),
        row('rise', 'UPDATE_RULE'),
      ],
      isAuditIntact: true,
      reviewed: ['steer'],
      requests: [
        { id: 'q1', flag: 'steer', value: 0, status: 'approved', requestedBy: 'p', reviewedBy: 'a' },
        { id: 'q2', flag: 'steer', value: 20, status: 'approved', requestedBy: 'p', reviewedBy: 'a' },
      ],
      steps: [
        { rollout: 'r1', flag: 'rise', position: 1, percentage: 10, appliedAt: 'x', revision: 9 },
        { rollout: 'r1', flag: 'rise', position: 2, percentage: 100, appliedAt: 'x', revision: 10 },
      ],
      measurements: { A: 3 },
      online: ['A', 'B'],
      connected: ['A', 'B'],
    },
  };
}

const stateOf = (history: Mutable, vin: string, revision: number) =>
  history.entries.find(
    (entry) => entry.kind === 'state' && entry.vin === vin && entry.revision === revision,
  ) as Extract<Entry, { kind: 'state' }>;
/** Replaces an entry by others. */
const replace = (history: Mutable, old: Entry, ...others: Entry[]) =>
  history.entries.splice(history.entries.indexOf(old), 1, ...others);
/** Changes the answer to the last request of an operation. */
function answered(history: Mutable, op: Call['op'], answer: Answer): void {
  const call = history.entries.findLast((entry) => entry.kind === 'call' && entry.call.op === op) as { id: number };
  const old = history.entries.find((entry) => entry.kind === 'answer' && entry.id === call.id)!;
  replace(history, old, { kind: 'answer', at: old.at, id: call.id, answer });
}

test('a true history breaks no law', () => {
  expect(check(trueHistory())).toEqual([]);
});

test('a second kill of a flag changes nothing, is recorded, and breaks no law', () => {
  const history = trueHistory();
  history.entries.push(
    ...exchange(
      'stopper',
      { op: 'kill', flag: 'lane', reason: 'fire' },
      { ok: true, applied: true, flag: view(5, 0, { killed: true }) },
    ),
  );
  history.truth.audit = [...history.truth.audit, { flag: 'lane', action: 'KILL_SWITCH', by: null }];
  expect(check(history)).toEqual([]);
});

const BREACHES: Readonly<Record<string, (history: Mutable) => void>> = {
  'lost change': ({ truth }) => {
    truth.versions = truth.versions.map((version) => (version.revision === 4 ? { ...version, value: 11 } : version));
  },
  'doubled change': ({ truth }) => {
    truth.versions = truth.versions.map((version) =>
      version.revision === 10 ? { ...version, flag: 'eco', value: 11 } : version,
    );
  },
  'refused change that is there': ({ truth }) => {
    truth.versions = truth.versions.map((version) =>
      version.revision === 10 ? { ...version, flag: 'eco', value: 13 } : version,
    );
  },
  'reordered change': (history) => {
    const { entries } = history;
    const calls = entries.filter((entry) => entry.kind === 'call' && entry.call.op === 'set') as { id: number }[];
    const [first, second] = calls.map(({ id }) => entries.find((entry) => entry.kind === 'answer' && entry.id === id)!);
    replace(history, first!, { ...first!, answer: { ok: true, flag: view(4, 12) } } as Entry);
    replace(history, second!, { ...second!, answer: { ok: true, flag: view(3, 11) } } as Entry);
  },
  'stale change': (history) => void history.entries.push(...set('eco', 12, 1, 4)),
  'gap in the revisions': ({ truth }) => {
    truth.versions = truth.versions.map((version) => (version.revision === 8 ? { ...version, revision: 9 } : version));
  },
  'half a change': ({ truth }) => {
    truth.audit = truth.audit.slice(0, -1);
  },
  'broken audit log': ({ truth }) => {
    truth.isAuditIntact = false;
  },
  'read that went back': (history) =>
    void history.entries.push(...exchange('reader', { op: 'read', flag: 'eco' }, { ok: true, flag: view(3, 11) })),
  'stale read': (history) =>
    void history.entries.push(...exchange('other', { op: 'read', flag: 'eco' }, { ok: true, flag: view(3, 11) })),
  'read of what never was': (history) =>
    void history.entries.push(...exchange('other', { op: 'read', flag: 'eco' }, { ok: true, flag: view(4, 99) })),
  'vehicle that went back': (history) => {
    const last = stateOf(history, 'A', 10);
    replace(history, last, state('A', 3), last);
  },
  'vehicle with another set': (history) => {
    const old = stateOf(history, 'B', 10);
    replace(history, old, { ...old, flags: old.flags.filter(([key]) => key !== 'eco') });
  },
  'vehicle that was left behind': (history) => {
    const old = stateOf(history, 'B', 10);
    replace(history, old, state('B', 2, ['eco', 1, 1, false], ['lane', 2, 2, false]));
  },
  'kill switch overtaken': (history) => {
    const last = stateOf(history, 'A', 10);
    replace(history, last, { ...last, flags: [...last.flags, ['lane', 5, 2, false]] });
  },
  'served flag that went back': (history) => {
    const last = stateOf(history, 'A', 10);
    replace(history, last, { ...last, flags: [...last.flags, ['eco', 4, 3, false]] });
  },
  'honest data refused': ({ entries }) => void entries.push({ kind: 'refusal', at, vin: 'A', reason: 'incomplete' }),
  'unforeseen failure': ({ entries }) =>
    void entries.push({ kind: 'unforeseen', at, part: 'flags 1', detail: 'ended by itself' }),
  'no recovery': (history) => {
    const calm = history.entries.at(-1) as Extract<Entry, { kind: 'calm' }>;
    replace(history, calm, { ...calm, missing: ['B at revision 9'] });
  },
  'lost measurement': ({ truth }) => {
    truth.measurements = { A: 2 };
  },
  'doubled measurement': ({ truth }) => {
    truth.measurements = { A: 6 };
  },
  'own change approved': (history) => answered(history, 'approve-own', { ok: true }),
  'change without a second person': ({ truth }) => {
    truth.requests = truth.requests.filter(({ id }) => id !== 'q2');
  },
  'lost approval': ({ truth }) => {
    truth.requests = truth.requests.map((request) =>
      request.id === 'q2' ? { ...request, status: 'pending' } : request,
    );
  },
  'lost rejection': (history) =>
    void history.entries.push(...exchange('approver', { op: 'reject', request: 'q2' }, { ok: true })),
  'lost schedule': (history) => answered(history, 'schedule', { ok: true, id: 'r2' }),
  'missed step': ({ truth }) => {
    truth.steps = truth.steps.map((step) =>
      step.position === 2 ? { ...step, appliedAt: null, revision: null } : step,
    );
  },
  'doubled step': ({ truth }) => {
    truth.steps = truth.steps.map((step) => (step.position === 2 ? { ...step, revision: 9 } : step));
  },
  'reordered step': ({ truth }) => {
    truth.steps = truth.steps.map((step) => ({ ...step, revision: step.position === 1 ? 10 : 9 }));
  },
  'wrong presence': ({ truth }) => {
    truth.online = ['A'];
  },
};

for (const [law, breach] of Object.entries(BREACHES))
  test(`a breach is found: ${law}`, () => {
    const history = trueHistory();
    breach(history);
    expect(check(history).map((finding) => finding.law)).toContain(law);
  });
