import { describe, expect, test } from '@jest/globals';
import { createInProcessStore } from './key-value-store.ts';
import { keyValueStoreContract } from '../testing/key-value-store-contract.ts';

describe('the store in one process', () => {
  keyValueStoreContract(async () => {
    const store = createInProcessStore();
    return [store, store];
  });

  test('drops the least recently used beyond 100,000 values, so that memory stays bounded', async () => {
    const store = createInProcessStore();
    await store.set('first', 'value', 60);
    for (let index = 0; index < 100_000; index++) await store.set(`filler ${index}`, 'value', 60);
    expect(await store.get('first')).toBeNull();
    expect(await store.get('filler 99999')).toBe('value');
  });
});
