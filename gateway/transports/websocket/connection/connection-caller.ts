/**
 * Identifies the caller who opens a websocket: from connection_init's payload or the upgrade request's header fields to
 * a caller.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { FleetFlagError } from '../../../../core/errors.ts';
import { credentialsOf } from '../../../credentials/authenticate.ts';
import type { AuthenticatedCaller } from '../../../credentials/credentials-in-use.ts';
import type { OperationPipeline } from '../../../operations/pipeline.ts';
import type { ConnectionOrigin } from './connection-host.ts';

/**
 * A function that finds who opens a websocket. It rejects with what the pipeline refuses, and with UNAUTHENTICATED
 * where there are no credentials: signing in is for HTTP.
 */
export function connectionCaller(pipeline: Pick<OperationPipeline, 'caller'>) {
  return async (
    params: Readonly<Record<string, unknown>>,
    { headers, origin }: { readonly headers: IncomingHttpHeaders; readonly origin: ConnectionOrigin },
  ): Promise<AuthenticatedCaller> => {
    const inPayload = credentialsOf(params);
    const { authorization, 'x-api-key': apiKey } = headers;
    // Browsers cannot set header fields on a websocket; programs may.
    const credentials =
      inPayload.authorization === undefined && inPayload.apiKey === undefined
        ? { authorization, apiKey: typeof apiKey === 'string' ? apiKey : undefined }
        : inPayload;
    const { caller, expiresAt, credential } = await pipeline.caller(credentials, origin.ipAddress, true);
    if (caller.kind === 'anonymous')
      throw new FleetFlagError(
        'UNAUTHENTICATED',
        'connection_init has no credentials: send authorization or x-api-key in its payload.',
      );
    return { caller, ...(expiresAt !== null && { expiresAt }), ...(credential !== null && { credential }) };
  };
}
