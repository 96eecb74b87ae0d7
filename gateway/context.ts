import type { CallerIdentity } from '../core/access/caller.ts';

/** What the gateway knows of a request while it runs it. */
export interface GatewayContext {
  readonly identity: CallerIdentity;
  /**
   * Told whether the answer came without errors. An object, because Apollo Server copies the context that it is given.
   */
  readonly outcome?: { complete: boolean };
}

/** The part of a logger that the gateway uses; pino's form. */
export interface GatewayLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
