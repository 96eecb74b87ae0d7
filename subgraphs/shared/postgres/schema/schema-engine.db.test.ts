import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Pool } from 'pg';
import { createBareDatabase, dropDatabase } from '../../testing/test-database.ts';
import { openSchemaEngine } from './schema-engine.ts';

let url: string;
let pool: Pool;

beforeAll(async () => {
  url = await createBareDatabase();
  pool = new Pool({ connectionString: url, max: 1 });
});
afterAll(async () => {
  await pool?.end();
  await dropDatabase(url);
});

test('an engine that could not be loaded is loaded at the next call', async () => {
  const datamodel = await readFile(new URL('../../../../prisma/schema.prisma', import.meta.url), 'utf8');
  // Node's types leave WebAssembly to the DOM library.
  const { WebAssembly } = globalThis as unknown as { WebAssembly: { instantiate(): Promise<object> } };
  const instantiate = jest.spyOn(WebAssembly, 'instantiate').mockRejectedValueOnce(new Error('no memory'));
  try {
    await expect(openSchemaEngine(pool, datamodel)).rejects.toThrow('no memory');
    (await openSchemaEngine(pool, datamodel)).free();
    (await openSchemaEngine(pool, datamodel)).free();
    expect(instantiate).toHaveBeenCalledTimes(2);
  } finally {
    instantiate.mockRestore();
  }
});
