/**
 * The contract of `SubgraphConnection`, on which the gateway relies whichever way it reaches a subgraph: one suite for
 * all implementations.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../core/access/caller.ts';
import type {
  SubgraphConnection,
  SubgraphRequest,
  SubgraphResponse,
  SubgraphStream,
} from '../../core/wire/subgraph/subgraph.ts';
import type { Subgraph } from '../../subgraphs/shared/subgraph/subgraph.ts';
import { ANONYMOUS, identityOf, user } from '../../subgraphs/shared/testing/asking.ts';
import { FAULT, ScriptedChanges, scriptedFlags } from '../testing/scripted-flags.ts';
import { eventually } from '../../core/testing/eventually.ts';

export interface OpenConnection {
  readonly connection: SubgraphConnection;
  close(): Promise<void>;
}

export const FLAG_QUERY = 'query ($key: String!) { flag(key: $key) { key safetyLevel environment } }';
export const CHANGES =
  'subscription ($environment: Environment!) { flagChanges(environment: $environment) { revision previousRevision flag { key description } } }';

const READER = user('READ');
const STAGING_VEHICLE: Caller = { kind: 'vehicle', vin: null, environment: 'staging' };

/** A request as `caller`. */
export const request = (
  query: string,
  variables?: Record<string, unknown>,
  caller: Caller = READER,
  operationName?: string,
): SubgraphRequest => ({
  query,
  variables,
  operationName,
  identity: identityOf(caller),
});

export const changesOf = (environment = 'STAGING', caller: Caller = STAGING_VEHICLE) =>
  request(CHANGES, { environment }, caller);

/** Gives a value as it is after being sent as JSON: the gateway may rely on no more. */
const json = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown;

/** Gives the next response of a stream, which must have one. */
export async function take(stream: SubgraphStream): Promise<SubgraphResponse> {
  const result = await stream.next();
  if (result.done === true) throw new Error('the stream has ended');
  return json(result.value) as SubgraphResponse;
}

const change = (revision: number) => ({
  data: {
    flagChanges: { revision, previousRevision: revision - 1, flag: { key: 'eco', description: 'Saves energy.' } },
  },
});

/**
 * Declares the tests of the contract.
 *
 * @param what the way in which the subgraph is reached, for the title
 * @param open connects to `subgraph`
 */
export function describeSubgraphConnection(what: string, open: (subgraph: Subgraph) => Promise<OpenConnection>): void {
  describe(`a subgraph reached ${what}`, () => {
    let changes: ScriptedChanges;
    let opened: OpenConnection;
    let connection: SubgraphConnection;

    beforeEach(async () => {
      changes = new ScriptedChanges();
      opened = await open(await scriptedFlags(changes));
      connection = opened.connection;
    });
    afterEach(() => opened.close());

    const execute = async (...args: Parameters<typeof request>) => json(await connection.execute(request(...args)));

    test('has its name and says that it is ready', async () => {
      expect(connection.name).toBe('flags');
      expect(await connection.ready()).toBe(true);
    });

    test('answers a query with data in the spelling of GraphQL', async () => {
      expect(await execute(FLAG_QUERY, { key: 'eco' })).toEqual({
        data: { flag: { key: 'eco', safetyLevel: 'ASIL_D', environment: 'STAGING' } },
      });
      expect(await execute(FLAG_QUERY, { key: 'none' })).toEqual({ data: { flag: null } });
    });

    test('says of an answer, and of no other, that it is as last known', async () => {
      const answer = { data: { flag: null } };
      expect(await execute(FLAG_QUERY, { key: 'remembered' })).toEqual({ ...answer, extensions: { remembered: true } });
      expect(await execute(FLAG_QUERY, { key: 'none' })).toEqual(answer);
    });

    test('runs the operation that is named', async () => {
      const query = 'query A { flag(key: "eco") { key } } query B { flag(key: "none") { key } }';
      expect(await execute(query, undefined, READER, 'A')).toEqual({ data: { flag: { key: 'eco' } } });
      expect(await execute(query, undefined, READER, 'B')).toEqual({ data: { flag: null } });
    });

    test('runs mutations as the caller, and refuses them to callers without the permission', async () => {
      const enable = 'mutation { enableFlag(key: "eco") { applied } }';
      expect(await execute(enable, {}, user('WRITE'))).toEqual({ data: { enableFlag: { applied: true } } });
      expect(await execute(enable, {}, READER)).toMatchObject({
        data: null,
        errors: [{ path: ['enableFlag'], extensions: { code: 'FORBIDDEN' } }],
      });
      expect(await execute(enable, {}, ANONYMOUS)).toMatchObject({
        data: null,
        errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
      });
    });

    test('gives a refusal as it was meant, at its path', async () => {
      expect(await execute(FLAG_QUERY, { key: 'stale' })).toEqual({
        data: { flag: null },
        errors: [
          expect.objectContaining({
            message: 'Changed since.',
            path: ['flag'],
            extensions: { code: 'CONFLICT', field: 'key', currentRevision: 7 },
          }),
        ],
      });
    });

    test('tells nothing of a fault but that there was one', async () => {
      const response = await execute(FLAG_QUERY, { key: 'broken' });
      expect(response).toMatchObject({
        data: { flag: null },
        errors: [{ path: ['flag'], extensions: { code: 'INTERNAL_SERVER_ERROR' } }],
      });
      expect(JSON.stringify(response)).not.toMatch(new RegExp(`${FAULT}|stack| at `));
    });

    test('refuses an operation that is none without data', async () => {
      for (const query of ['{', '{ nothing }']) {
        const response = (await execute(query)) as SubgraphResponse;
        expect(response.data).toBeUndefined();
        expect(response.errors).toHaveLength(1);
      }
    });

    test('resolves entities for callers, and refuses them to anonymous ones', async () => {
      const entities =
        'query ($refs: [_Any!]!) { _entities(representations: $refs) { ... on Flag { key description } } }';
      const variables = {
        refs: [
          { __typename: 'Flag', key: 'eco' },
          { __typename: 'Flag', key: 'none' },
        ],
      };
      expect(await execute(entities, variables)).toEqual({
        data: { _entities: [{ key: 'eco', description: 'Saves energy.' }, null] },
      });
      expect(await execute(entities, variables, ANONYMOUS)).toMatchObject({
        errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
      });
      expect(await execute('{ _service { sdl } }', {}, ANONYMOUS)).toMatchObject({
        errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
      });
    });

    test('gives the events of a subscription in order, and from its establishment on every one', async () => {
      const stream = connection.subscribe(changesOf());
      await stream.established;
      for (let revision = 1; revision <= 50; revision++) changes.emit({ revision });
      for (let revision = 1; revision <= 50; revision++) expect(await take(stream)).toEqual(change(revision));
      await stream.return?.();
    });

    test('says of an event, and of that alone, that it is urgent', async () => {
      const stream = connection.subscribe(changesOf());
      await stream.established;
      for (const [revision, urgent] of [false, true, false, true].entries()) changes.emit({ revision, urgent });
      expect([await take(stream), await take(stream), await take(stream), await take(stream)]).toEqual([
        change(0),
        { ...change(1), extensions: { urgent: true } },
        change(2),
        { ...change(3), extensions: { urgent: true } },
      ]);
      await stream.return?.();
    });

    test('gives each of two subscriptions its own events', async () => {
      const streams = [connection.subscribe(changesOf()), connection.subscribe(changesOf())];
      await Promise.all(streams.map(async (stream) => stream.established));
      changes.emit({ revision: 1 });
      for (const stream of streams) expect(await take(stream)).toEqual(change(1));
      await streams[0]?.return?.();
      changes.emit({ revision: 2 });
      expect(await take(streams[1] as SubgraphStream)).toEqual(change(2));
      await streams[1]?.return?.();
    });

    test('gives an event of which a part has failed with both, and goes on', async () => {
      const stream = connection.subscribe(changesOf());
      await stream.established;
      changes.emit({ revision: 1, faulty: true });
      changes.emit({ revision: 2 });
      const first = await take(stream);
      expect(first).toMatchObject({
        data: { flagChanges: { revision: 1, flag: { key: 'eco', description: null } } },
        errors: [{ path: ['flagChanges', 'flag', 'description'], extensions: { code: 'INTERNAL_SERVER_ERROR' } }],
      });
      expect(JSON.stringify(first)).not.toContain(FAULT);
      expect(await take(stream)).toEqual(change(2));
      await stream.return?.();
    });

    test.each<[string, SubgraphRequest, string | undefined]>([
      ['to an anonymous caller', changesOf('STAGING', ANONYMOUS), 'UNAUTHENTICATED'],
      ['to a vehicle of another environment', changesOf('PRODUCTION'), 'FORBIDDEN'],
      ['with a variable that does not fit', changesOf('MARS'), undefined],
      ['that is not GraphQL', request('subscription {'), undefined],
    ])('refuses a subscription %s with one response, and ends', async (_what, refused, code) => {
      const stream = connection.subscribe(refused);
      await stream.established;
      const response = await take(stream);
      expect(response.data ?? undefined).toBeUndefined();
      expect(response.errors).toHaveLength(1);
      if (code !== undefined) expect(response.errors).toMatchObject([{ extensions: { code } }]);
      expect(await stream.next()).toEqual({ done: true, value: undefined });
      expect(changes.open).toBe(0);
    });

    test('ends the source of a subscription at once, though a next() is pending', async () => {
      const stream = connection.subscribe(changesOf());
      const pending = stream.next();
      await stream.established;
      expect(changes.open).toBe(1);
      await stream.return?.();
      expect(await pending).toEqual({ done: true, value: undefined });
      await eventually(() => changes.open === 0);
      changes.emit({ revision: 1 });
      expect(await stream.next()).toEqual({ done: true, value: undefined });
    });

    test('ends the source of a subscription before the first next()', async () => {
      const stream = connection.subscribe(changesOf());
      await stream.established;
      changes.emit({ revision: 1 });
      await stream.return?.();
      expect(await stream.next()).toEqual({ done: true, value: undefined });
      await eventually(() => changes.open === 0);
    });

    test('opens nothing that stays open for a subscription that is ended in the same instant', async () => {
      const stream = connection.subscribe(changesOf());
      await stream.return?.();
      // One that comes after it is established after anything that the first could still have opened.
      const later = connection.subscribe(changesOf());
      await later.established;
      await eventually(() => changes.open === 1);
      await later.return?.();
      await eventually(() => changes.open === 0);
    });
  });
}
