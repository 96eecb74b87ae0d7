/** The operations that the tests' control plane answers, on top of its state. */
import { createHash } from 'node:crypto';
import { buildSchema, GraphQLError, parse, print, validate, type GraphQLResolveInfo } from 'graphql';
import { CloseCode } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import type { WebSocketServer } from 'ws';
import { membersOf, parseJson } from '../../core/json/json-value.ts';
import type { TestControlPlane } from './control-plane.ts';
import type { ReportedBatch, ReportedFault, ReportedHeartbeat } from './wire-messages.ts';

/** The caller of a request, as its token names it; undefined for the vehicle of the tests. */
interface Caller {
  readonly vin: string | undefined;
}

/** Gives what `make` gives for a text, which it makes once. */
function once<Made>(make: (text: string) => Made): (text: string) => Made {
  const made = new Map<string, Made>();
  return (text) => {
    const found = made.get(text) ?? make(text);
    made.set(text, found);
    return found;
  };
}

// A vehicle sends the same few operations at each connection, and the tests make thousands of those.
const schemaOf = once((sdl) => buildSchema(sdl));
const checksOf = once((sdl) => once((query) => validate(schemaOf(sdl), parse(query))));
const faultsOf = (sdl: string, query: string): readonly GraphQLError[] => checksOf(sdl)(query);

/** Answers the operations that come over the sockets of a server. */
export function serveOperations(plane: TestControlPlane, sockets: WebSocketServer): void {
  useServer(
    {
      schema: schemaOf(plane.sdl),
      context: ({ connectionParams }) => callerIn(connectionParams),
      onSubscribe: (_context, id, { query }) => {
        plane.subscriptionIds.push(id);
        // As the gateway refuses it (gateway/operations/refusals/error-answer.ts); the library names no code.
        const faults = faultsOf(plane.sdl, query);
        const named = { extensions: { code: 'BAD_USER_INPUT' } };
        return faults.length === 0 ? undefined : faults.map(({ message }) => new GraphQLError(message, named));
      },
      onConnect: ({ connectionParams, extra }) => {
        const token = String((connectionParams as { authorization?: string } | undefined)?.authorization).replace(
          'Bearer ',
          '',
        );
        plane.tokens.push(token);
        if (!plane.refusedTokens.has(token)) return true;
        extra.socket.close(CloseCode.Forbidden, 'Forbidden');
        return false;
      },
      roots: operationsOf(plane),
    },
    sockets,
  );
}

/** Gives the functions that resolve the root fields. */
function operationsOf(plane: TestControlPlane) {
  return {
    query: {
      flagSync: ({ since, nonce }: { since?: number; nonce?: string }, { vin }: Caller, info: GraphQLResolveInfo) =>
        plane.sync(since ?? null, nonce ?? null, vin, isPartitioned(info)),
      flagProof: async (_: object, { vin }: Caller, info: GraphQLResolveInfo) => {
        const partition = plane.partitionOf(vin);
        return plane.onProof(await plane.proof({ partition, ...(!isPartitioned(info) && { named: null }) }));
      },
      vehicleBackup: async ({ agent }: { agent: string }) => {
        const content = await plane.onBackup(plane.backups.get(agent) ?? null);
        if (content === null) return null;
        const digest = createHash('sha256').update(Buffer.from(content, 'base64')).digest('hex');
        return { content, digest, backedUpAt: new Date(plane.now()).toISOString() };
      },
      vehicleFacts: async ({ nonce }: { nonce: string }) => plane.onFacts(await plane.facts(nonce)),
    },
    mutation: {
      reportMetrics: async ({ input }: { input: ReportedBatch }) => {
        plane.batches.push(input);
        await plane.onReport(input);
        return { accepted: input.items.length, duplicates: 0, dropped: 0 };
      },
      agentHeartbeat: async ({ input }: { input: ReportedHeartbeat }) => {
        plane.heartbeats.push(input);
        await plane.onHeartbeat(input);
        return true;
      },
      reportFaults: async ({ input }: { input: { faults: ReportedFault[] } }) => {
        plane.faultReports.push(input.faults);
        await plane.onFaults(input.faults);
        return true;
      },
      backUpVehicleState: async ({ input }: { input: { agent: string; content: string } }) => {
        plane.backupCount += 1;
        await plane.onBackUp();
        plane.backups.set(input.agent, input.content);
        return true;
      },
    },
    subscription: {
      flagChanges: (_: object, { vin }: Caller, info: GraphQLResolveInfo) => plane.stream(vin, isPartitioned(info)),
    },
  };
}

/** Reads the caller from the token of a connection, as the gateway does, but without checking the signature. */
function callerIn(connectionParams: Record<string, unknown> | undefined): Caller {
  const [, claims = ''] = String(connectionParams?.authorization).split('.');
  const { sub } = membersOf(parseJson(Buffer.from(claims, 'base64url').toString()));
  return { vin: typeof sub === 'string' ? sub : undefined };
}

/** Says whether a question asks for proofs that name a partition. */
function isPartitioned({ fieldNodes }: GraphQLResolveInfo): boolean {
  return fieldNodes.some((node) => print(node).includes('partitioned: true'));
}
