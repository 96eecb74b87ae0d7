import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FAULT_KINDS, isCausedByPrograms, type FlagFault } from '../../core/wire/vehicle/fault.ts';
import { FaultLog, MAX_KEPT_FAULTS, MAX_PROGRAM_FAULTS } from './fault-log.ts';

const fault = (n: number): FlagFault => ({ flagKey: `flag_${n}`, revision: 7, kind: 'restarts', message: `${n}` });

describe('the faults of a vehicle', () => {
  test('have one entry for each flag, revision and kind, with the first message and time', () => {
    const log = new FaultLog();
    const again = { ...fault(1), message: 'another text' };
    expect([log.add(fault(1), 100), log.add(again, 200), log.add({ ...fault(1), revision: 8 }, 300)]).toEqual([
      true,
      false,
      true,
    ]);
    expect(log.faults).toEqual([
      { ...fault(1), at: 100, count: 2, sent: false },
      { ...fault(1), revision: 8, at: 300, count: 1, sent: false },
    ]);
  });

  test('make room by those that the control plane has, and then by the oldest, which are counted', () => {
    const log = new FaultLog();
    for (let n = 0; n < MAX_KEPT_FAULTS; n++) log.add(fault(n), n);
    log.sent([fault(5)]);
    log.add(fault(100), 100);
    expect([log.has(fault(5)), log.has(fault(0)), log.dropped]).toEqual([false, true, 0]);
    log.add(fault(101), 101);
    expect([log.has(fault(0)), log.has(fault(1)), log.dropped]).toEqual([false, true, 1]);
  });

  test('of programs make no room for themselves by those that the agent sees by itself, nor the other way round', () => {
    const kindOf = (isProgram: boolean) => (isProgram ? ('reported_by_program' as const) : ('restarts' as const));
    const ownShare = MAX_KEPT_FAULTS - MAX_PROGRAM_FAULTS;
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 300 }), (added) => {
        const log = new FaultLog();
        for (const [n, isProgram] of added.entries()) log.add({ ...fault(n), kind: kindOf(isProgram) }, n);
        const kept = (isProgram: boolean) => log.faults.filter(({ kind }) => isCausedByPrograms(kind) === isProgram);
        for (const [isProgram, share] of [
          [true, MAX_PROGRAM_FAULTS],
          [false, ownShare],
        ] as const) {
          const all = added.flatMap((one, n) => (one === isProgram ? [`${n}`] : []));
          const left = kept(isProgram).map(({ message }) => message);
          expect(left.length).toBeGreaterThanOrEqual(Math.min(share, all.length));
          expect(left).toEqual(left.length === 0 ? [] : all.slice(-left.length));
        }
      }),
    );
  });

  test('that come from the file stand before those that were added since the start', () => {
    const log = new FaultLog();
    log.add(fault(2), 20);
    log.restore([
      { ...fault(1), at: 10, count: 3, sent: true },
      { ...fault(2), at: 5, count: 1, sent: true },
    ]);
    expect(log.faults).toEqual([
      { ...fault(1), at: 10, count: 3, sent: true },
      { ...fault(2), at: 5, count: 2, sent: true },
    ]);
    expect(log.waiting).toEqual([]);
  });

  test('are never more than fit, each is there once, and each new one is kept, sent or counted', () => {
    const one = fc.record({
      flagKey: fc.integer({ min: 0, max: 40 }).map((n) => `flag_${n}`),
      revision: fc.integer({ min: 1, max: 3 }),
      kind: fc.constantFrom(...FAULT_KINDS),
      message: fc.constant('x'),
    });
    const step = fc.oneof(
      one.map((added) => ({ added })),
      fc.constant({ sent: 3 }),
      one.map((discarded) => ({ discarded })),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const log = new FaultLog();
        let [added, sent] = [0, 0];
        for (const each of steps) {
          if ('added' in each) added += log.add(each.added, 1) ? 1 : 0;
          else if ('discarded' in each) {
            // A fault that was sent is no loss when it is discarded; the sender only discards what waits.
            if (log.waiting.some((kept) => kept.flagKey === each.discarded.flagKey)) log.discard(log.waiting[0]!);
          } else {
            const report = log.waiting.slice(0, each.sent);
            sent += report.length;
            log.sent(report);
          }
        }
        expect(log.faults.length).toBeLessThanOrEqual(MAX_KEPT_FAULTS);
        expect(new Set(log.faults.map(({ flagKey, revision, kind }) => `${flagKey} ${revision} ${kind}`)).size).toBe(
          log.faults.length,
        );
        expect(log.waiting.length + sent + log.dropped).toBe(added);
      }),
    );
  });
});
