/** Prisma's schema engine, which runs and checks migrations, in this process and on a pool of `pg`. */
import { PrismaPg } from '@prisma/adapter-pg';
import {
  bindMigrationAwareSqlAdapterFactory,
  DriverAdapterError,
  type SqlDriverAdapter,
} from '@prisma/driver-adapter-utils';
import type * as Engine from '@prisma/schema-engine-wasm';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { DatabaseError, type Pool } from 'pg';

/** Prisma's schema engine. */
export type SchemaEngine = Engine.SchemaEngine;
/** Migrations in the engine's form. */
export type MigrationList = Engine.MigrationList;

/** A filter that hides nothing: Prisma may see everything in the database. */
export const NO_FILTER = { externalTables: [], externalEnums: [] };

type EngineModule = typeof Engine & { __wbg_set_wasm(exports: object): void };

/** Node's types leave WebAssembly to the DOM library. */
declare const WebAssembly: {
  instantiate(
    code: Uint8Array,
    imports: Record<string, object>,
  ): Promise<{ instance: { exports: Record<string, () => void> } }>;
};

let loading: Promise<EngineModule> | null = null;

/**
 * Opens Prisma's schema engine on the pool's database. It is the WASM build: the native one would need a download. It
 * writes the same `_prisma_migrations` as the `prisma migrate` commands. Call `free()` after use; the pool stays open.
 *
 * @param datamodel the text of schema.prisma
 * @param addToScript gives SQL to run with a script, in the same transaction; '' for none
 */
export async function openSchemaEngine(
  pool: Pool,
  datamodel: string,
  addToScript: (script: string) => string = () => '',
): Promise<SchemaEngine> {
  loading ??= loadEngine().catch((error: unknown) => {
    // The next call tries again: what was missing may be there by then.
    loading = null;
    throw error;
  });
  const { SchemaEngine } = await loading;
  const adapter = bindMigrationAwareSqlAdapterFactory(new WholeScriptFactory(pool, addToScript));
  return SchemaEngine.new({ datamodels: [['schema.prisma', datamodel]] }, () => {}, adapter);
}

/**
 * Loads the engine. The package imports its `.wasm` file as a module, which Node 20 supports only behind a flag, so
 * `loadEngine` compiles the file.
 */
async function loadEngine(): Promise<EngineModule> {
  const name = '@prisma/schema-engine-wasm/schema_engine_bg';
  // oxlint-disable-next-line typescript/consistent-type-assertions -- a module of the package that has no types
  const engine = (await import(name)) as EngineModule;
  const file = join(dirname(createRequire(import.meta.url).resolve(name)), 'schema_engine_bg.wasm');
  const { instance } = await WebAssembly.instantiate(await readFile(file), {
    './schema_engine_bg.js': withUnrefTimers(engine),
  });
  engine.__wbg_set_wasm(instance.exports);
  instance.exports['__wbindgen_start']?.();
  return engine;
}

/**
 * Gives the engine's bindings with timers that do not keep the process alive. The engine's timeout for Prisma's lock
 * (10 s) goes on after the lock is acquired, and must not delay the exit.
 */
function withUnrefTimers(engine: object): object {
  const bindings: Record<string, unknown> = { ...engine };
  for (const [name, binding] of Object.entries(bindings)) {
    if (!name.startsWith('__wbg_setTimeout')) continue;
    // oxlint-disable-next-line typescript/consistent-type-assertions -- what wasm-bindgen makes of setTimeout
    const setTimer = binding as (...args: unknown[]) => NodeJS.Timeout;
    bindings[name] = (...args: unknown[]) => setTimer(...args).unref();
  }
  return bindings;
}

/**
 * A factory whose adapters run a script whole. PrismaPg splits a script at each semicolon, even inside a function's
 * body; PostgreSQL's simple query protocol takes the whole script and runs it in one transaction.
 */
class WholeScriptFactory extends PrismaPg {
  readonly #pool: Pool;
  readonly #addToScript: (script: string) => string;

  constructor(pool: Pool, addToScript: (script: string) => string) {
    super(pool);
    this.#pool = pool;
    this.#addToScript = addToScript;
  }

  override async connect(): ReturnType<PrismaPg['connect']> {
    return this.#runScriptsWhole(await super.connect());
  }

  override async connectToShadowDb(): ReturnType<PrismaPg['connectToShadowDb']> {
    throw new Error('Migrations are written by hand here: no shadow database is used.');
  }

  /** Makes an adapter run each script whole. */
  #runScriptsWhole<T extends SqlDriverAdapter>(adapter: T): T {
    adapter.executeScript = async (script) => {
      try {
        await this.#pool.query(`${script}\n${this.#addToScript(script)}`);
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        const { code = '', severity = 'ERROR', message, detail, column, hint } = error;
        throw new DriverAdapterError({ kind: 'postgres', code, severity, message, detail, column, hint });
      }
    };
    return adapter;
  }
}
