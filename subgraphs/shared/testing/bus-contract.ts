/** The contract of every bus, run against each implementation. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Bus } from '../feeds/bus.ts';
import { eventually } from '../../../core/testing/eventually.ts';

/**
 * Declares the tests of the contract.
 *
 * @param open opens a bus for two parts of the system: two processes' connections to a server, or one object twice
 */
export function busContract(open: () => Promise<readonly [Bus, Bus]>): void {
  let here: Bus;
  let there: Bus;
  let channel: string;

  beforeEach(async () => {
    [here, there] = await open();
    channel = randomUUID();
  });

  afterEach(async () => {
    await here.close();
    await there.close();
  });

  const listen = async (bus: Bus, name: string) => {
    const heard: string[] = [];
    const end = await bus.subscribe(name, (message) => heard.push(message));
    return { heard, end };
  };

  /** Waits until earlier messages have arrived: a bus keeps the order of a publisher. */
  const settled = async () => {
    const marker = randomUUID();
    const marks = await Promise.all([listen(here, marker), listen(there, marker)]);
    await here.publish(marker, 'here');
    await there.publish(marker, 'there');
    await eventually(() => marks.every(({ heard }) => heard.length === 2));
    await Promise.all(marks.map(({ end }) => end()));
  };

  test('a message reaches every listener of its channel, in the order of publishing, and no other channel', async () => {
    const [one, two, other] = await Promise.all([
      listen(here, channel),
      listen(there, channel),
      listen(there, `${channel}-other`),
    ]);
    const messages = Array.from({ length: 50 }, (_, index) => `message ${index} ü`);
    for (const message of messages) await here.publish(channel, message);
    await settled();
    expect([one.heard, two.heard, other.heard]).toEqual([messages, messages, []]);
  });

  test('a message never arrives within the call that publishes it', async () => {
    const { heard } = await listen(here, channel);
    const published = here.publish(channel, 'later');
    expect(heard).toEqual([]);
    await published;
    await eventually(() => heard.length === 1);
  });

  test('a listener that has unsubscribed receives nothing more, and the others continue', async () => {
    const [one, two] = [await listen(here, channel), await listen(here, channel)];
    await one.end();
    await there.publish(channel, 'still');
    await settled();
    expect([one.heard, two.heard]).toEqual([[], ['still']]);
    await one.end();
    await two.end();
    await there.publish(channel, 'nobody');
    const again = await listen(here, channel);
    await there.publish(channel, 'again');
    await settled();
    expect([two.heard, again.heard]).toEqual([['still'], ['again']]);
  });

  test('a message in flight is not delivered to a listener that unsubscribes meanwhile', async () => {
    const { heard, end } = await listen(here, channel);
    const published = here.publish(channel, 'late');
    await Promise.all([published, end()]);
    const before = [...heard];
    await settled();
    expect(heard).toEqual(before);
  });

  test('a listener that subscribes twice receives twice, and each subscription ends by itself', async () => {
    const heard: string[] = [];
    const listener = (message: string) => heard.push(message);
    const endFirst = await here.subscribe(channel, listener);
    const endSecond = await here.subscribe(channel, listener);
    await here.publish(channel, 'a');
    await settled();
    expect(heard).toEqual(['a', 'a']);
    await endFirst();
    await here.publish(channel, 'b');
    await settled();
    expect(heard).toEqual(['a', 'a', 'b']);
    await endSecond();
  });

  test('listeners that subscribe at the same time all receive later messages', async () => {
    const listeners = await Promise.all(Array.from({ length: 5 }, () => listen(here, channel)));
    await there.publish(channel, 'all');
    await settled();
    expect(listeners.map(({ heard }) => heard)).toEqual(Array(5).fill(['all']));
  });

  test('after closing nothing is received', async () => {
    const { heard } = await listen(here, channel);
    await here.close();
    await there.publish(channel, 'nobody').catch(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard).toEqual([]);
  });
}
