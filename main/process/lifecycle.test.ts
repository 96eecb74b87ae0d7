import { describe, expect, test } from '@jest/globals';
import { Lifecycle, openAll, together } from './lifecycle.ts';

describe('closing', () => {
  test('closes from the newest to the oldest, each after the one before', async () => {
    const lifecycle = new Lifecycle();
    const steps: string[] = [];
    for (const name of ['database', 'subgraph', 'gateway']) {
      lifecycle.onClose(async () => {
        steps.push(`${name} closes`);
        await Promise.resolve();
        steps.push(`${name} closed`);
      });
    }
    await lifecycle.close();
    expect(steps).toEqual([
      'gateway closes',
      'gateway closed',
      'subgraph closes',
      'subgraph closed',
      'database closes',
      'database closed',
    ]);
  });

  test('announces itself at once, and begins only when the announced time is over, unless it must not wait', async () => {
    for (const [ending, announcedMs] of [
      ['announced', 50],
      ['at once', 3_600_000],
    ] as const) {
      const lifecycle = new Lifecycle();
      lifecycle.announceFor(announcedMs);
      const begun = performance.now();
      let closedAfterMs = 0;
      lifecycle.onClose(async () => void (closedAfterMs = performance.now() - begun));
      expect(lifecycle.isEnding).toBe(false);
      const closed = lifecycle.close(ending);
      expect(lifecycle.isEnding).toBe(true);
      await closed;
      if (ending === 'announced') expect(closedAfterMs).toBeGreaterThan(45);
    }
  });

  test.each<[string, () => Promise<unknown>]>([
    ['rejects', () => Promise.reject(new Error('first'))],
    [
      'throws at once',
      () => {
        throw new Error('first');
      },
    ],
  ])('continues after a step that %s, and reports the first failure', async (_how, step) => {
    const lifecycle = new Lifecycle();
    let closed = false;
    lifecycle.onClose(async () => void (closed = true));
    lifecycle.onClose(() => Promise.reject(new Error('second')));
    lifecycle.onClose(step);
    await expect(lifecycle.close()).rejects.toThrow('first');
    expect(closed).toBe(true);
  });

  test('happens once, however often it is called', async () => {
    const lifecycle = new Lifecycle();
    let times = 0;
    lifecycle.onClose(async () => void times++);
    await Promise.all([lifecycle.close(), lifecycle.close()]);
    await lifecycle.close();
    expect(times).toBe(1);
  });
});

describe('opening', () => {
  test('gives what was opened and closes nothing', async () => {
    let closed = false;
    expect(await openAll(async (lifecycle) => (lifecycle.onClose(async () => void (closed = true)), 'open'))).toBe(
      'open',
    );
    expect(closed).toBe(false);
  });

  test('closes what was open when a later step fails, and reports that failure, not one while closing', async () => {
    const closed: string[] = [];
    const failing = openAll(async (lifecycle) => {
      lifecycle.onClose(async () => void closed.push('database'));
      lifecycle.onClose(() => Promise.reject(new Error('cannot close')));
      throw new Error('the port is taken');
    });
    await expect(failing).rejects.toThrow('the port is taken');
    expect(closed).toEqual(['database']);
  });
});

describe('opening together', () => {
  test('gives the results in the order of the tasks', async () => {
    expect(await together([Promise.resolve(1), Promise.resolve('two')])).toEqual([1, 'two']);
  });

  test('waits for all when one fails, so that all can be closed', async () => {
    const closed: string[] = [];
    let open!: () => void;
    const slow = new Promise<void>((resolve) => (open = resolve));
    const failing = openAll((lifecycle) =>
      together([
        Promise.reject(new Error('no metrics')),
        slow.then(() => lifecycle.onClose(async () => void closed.push('database'))),
      ]),
    );
    open();
    await expect(failing).rejects.toThrow('no metrics');
    expect(closed).toEqual(['database']);
  });
});
