import { expect, test } from '@jest/globals';
import { unattended } from './unattended.ts';

/** A promise whose `catch` is watched: what that gives would be an unhandled rejection, which ends a test. */
function watched(work: Promise<unknown>): { readonly work: Promise<unknown>; readonly caught: () => Promise<unknown> } {
  let result: Promise<unknown> | undefined;
  const catching = (handler: (cause: unknown) => unknown) =>
    (result = work.then(() => 'nothing', handler).catch((error: unknown) => error));
  return {
    work: Object.assign(Promise.resolve(), { catch: catching }),
    caught: () => result ?? Promise.reject(new Error('Nobody listens')),
  };
}

test('a failure of work that nobody waits for is passed on with the name of the work and its cause', async () => {
  const cause = new Error('No such table');
  const { work, caught } = watched(Promise.reject(cause));
  unattended(work, 'The sweep of presence');
  expect(await caught()).toMatchObject({
    name: 'UnattendedFailure',
    message: 'The sweep of presence failed in the background.',
    cause,
  });
});

test('work that succeeds does not reach the last handler', async () => {
  const { work, caught } = watched(Promise.resolve(1));
  unattended(work, 'The sweep of presence');
  expect(await caught()).toBe('nothing');
});
