/** The contract of every key-value store, run against each implementation. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { KeyValueStore } from '../stores/key-value-store.ts';
import { eventually } from '../../../core/testing/eventually.ts';

/**
 * @param open opens a store for two parts of the system: two processes' connections to a server, or one object twice
 */
export function keyValueStoreContract(open: () => Promise<readonly [KeyValueStore, KeyValueStore]>): void {
  let here: KeyValueStore;
  let there: KeyValueStore;
  let key: string;

  beforeEach(async () => {
    [here, there] = await open();
    key = `test:${randomUUID()}`;
  });

  afterEach(async () => {
    await here.delete(key).catch(() => undefined);
    await here.close();
    await there.close();
  });

  test('answers a ping', async () => {
    await expect(here.ping()).resolves.toBeUndefined();
  });

  test('gives stored values everywhere, and null for unknown keys', async () => {
    expect(await here.get(key)).toBeNull();
    await here.set(key, '{"ü":"\u0000"}', 60);
    expect(await there.get(key)).toBe('{"ü":"\u0000"}');
    expect(await there.get(`${key}x`)).toBeNull();
  });

  test('distinguishes an empty value from none', async () => {
    await here.set(key, '', 60);
    expect(await there.get(key)).toBe('');
  });

  test('keeps the value that was set last', async () => {
    await here.set(key, 'old', 60);
    await there.set(key, 'new', 60);
    expect(await here.get(key)).toBe('new');
  });

  test('deleting removes a value, and deleting an unknown key is no error', async () => {
    await here.set(key, 'value', 60);
    await there.delete(key);
    expect(await here.get(key)).toBeNull();
    await expect(here.delete(key)).resolves.toBeUndefined();
  });

  test('a value expires after its time, and setting it again gives it a new time', async () => {
    const short = `${key}:short`;
    await Promise.all([here.set(short, 'value', 1), here.set(key, 'value', 1)]);
    await here.set(key, 'value', 60);
    expect(await there.get(short)).toBe('value');
    await eventually(async () => (await there.get(short)) === null);
    expect(await there.get(key)).toBe('value');
  });

  test('sets an absent value once, by the first call, and again when it has expired', async () => {
    const first = await Promise.all(
      Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? here : there).setIfAbsent(key, `${index}`, 60)),
    );
    expect(first.filter(Boolean)).toHaveLength(1);
    expect(await there.get(key)).toBe(`${first.indexOf(true)}`);
    await here.delete(key);
    expect(await there.setIfAbsent(key, 'again', 60)).toBe(true);
  });

  test('keeps sets, each member once, until they are deleted', async () => {
    await Promise.all(['a', 'b', 'a', 'c'].map((member) => here.addMember(key, member, 60)));
    await there.removeMember(key, 'b');
    await there.removeMember(`${key}x`, 'b');
    expect((await there.members(key)).sort()).toEqual(['a', 'c']);
    await there.delete(key);
    expect(await here.members(key)).toEqual([]);
  });

  test('a set expires after the time of its last addition', async () => {
    await here.addMember(key, 'a', 60);
    await here.addMember(key, 'b', 1);
    await eventually(async () => (await there.members(key)).length === 0);
  });
}
