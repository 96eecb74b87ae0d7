import { describe, expect, test } from '@jest/globals';
import { Closing, opening, together } from './closing.ts';

describe('closing', () => {
  test('goes from the newest to the oldest, each after the one before has closed', async () => {
    const closing = new Closing();
    const steps: string[] = [];
    for (const name of ['database', 'subgraph', 'gateway']) {
      closing.add(async () => {
        steps.push(`${name} closes`);
        await Promise.resolve();
        steps.push(`${name} closed`);
      });
    }
    await closing.close();
    expect(steps).toEqual([
      'gateway closes',
      'gateway closed',
      'subgraph closes',
      'subgraph closed',
      'database closes',
      'database closed',
    ]);
  });

  test.each<[string, () => Promise<unknown>]>([
    ['rejects', () => Promise.reject(new Error('first'))],
    [
      'throws at once',
      () => {
        throw new Error('first');
      },
    ],
  ])('does not stop at a step that %s, and tells of the first failure', async (_how, step) => {
    const closing = new Closing();
    let closed = false;
    closing.add(async () => void (closed = true));
    closing.add(() => Promise.reject(new Error('second')));
    closing.add(step);
    await expect(closing.close()).rejects.toThrow('first');
    expect(closed).toBe(true);
  });

  test('happens once, however often it is asked for', async () => {
    const closing = new Closing();
    let times = 0;
    closing.add(async () => void times++);
    await Promise.all([closing.close(), closing.close()]);
    await closing.close();
    expect(times).toBe(1);
  });
});

describe('opening', () => {
  test('gives what was opened and closes nothing', async () => {
    let closed = false;
    expect(await opening(async (closing) => (closing.add(async () => void (closed = true)), 'open'))).toBe('open');
    expect(closed).toBe(false);
  });

  test('closes what was open when a later step fails, and says why it failed, not why closing did', async () => {
    const closed: string[] = [];
    const failing = opening(async (closing) => {
      closing.add(async () => void closed.push('database'));
      closing.add(() => Promise.reject(new Error('cannot close')));
      throw new Error('the port is taken');
    });
    await expect(failing).rejects.toThrow('the port is taken');
    expect(closed).toEqual(['database']);
  });
});

describe('what is opened together', () => {
  test('is given in the order in which it was asked for', async () => {
    expect(await together([Promise.resolve(1), Promise.resolve('two')])).toEqual([1, 'two']);
  });

  test('is waited for when one fails, so that all of it can be closed', async () => {
    const closed: string[] = [];
    let open!: () => void;
    const slow = new Promise<void>((resolve) => (open = resolve));
    const failing = opening((closing) =>
      together([
        Promise.reject(new Error('no metrics')),
        slow.then(() => closing.add(async () => void closed.push('database'))),
      ]),
    );
    open();
    await expect(failing).rejects.toThrow('no metrics');
    expect(closed).toEqual(['database']);
  });
});
