import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createIdentityTokens } from '../../core/credentials/identity-token.ts';
import { MAX_QUESTION_LENGTH, answerTextOf } from '../../core/wire/subgraph/answer-texts.ts';
import type { SubgraphStream } from '../../core/wire/subgraph/subgraph.ts';
import { connectRemote } from '../../gateway/composition/remote-subgraph.ts';
import { connectInProcess } from '../../subgraphs/shared/subgraph/in-process-connection.ts';
import { createInProcessStore } from '../../subgraphs/shared/stores/key-value-store.ts';
import { createReplayGuard } from '../../subgraphs/shared/subgraph/replay-guard.ts';
import { serveSubgraph } from '../../subgraphs/shared/subgraph/subgraph-process.ts';
import { ANONYMOUS, silent } from '../../subgraphs/shared/testing/asking.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { openProxy, type SeverableProxy } from '../../subgraphs/shared/testing/severable-proxy.ts';
import {
  FLAG_QUERY,
  changesOf,
  describeSubgraphConnection,
  request,
  take,
  type OpenConnection,
} from './subgraph-connection.contract.ts';
import { ScriptedChanges, scriptedFlags } from '../testing/scripted-flags.ts';

const SECRET = 'a-secret-of-more-than-32-characters-x';
const tokens = createIdentityTokens(SECRET);
const unavailable = expect.objectContaining({ code: 'SERVICE_UNAVAILABLE' });

async function serve(changes: ScriptedChanges) {
  return serveSubgraph({
    subgraph: await scriptedFlags(changes),
    tokens,
    replayGuard: createReplayGuard('flags', createInProcessStore(), silent),
    ready: async () => true,
    host: '127.0.0.1',
    port: 0,
  });
}

describeSubgraphConnection('in process', async (subgraph) => {
  const connection = connectInProcess(subgraph, async () => true);
  return { connection, close: () => connection.close() };
});

describeSubgraphConnection('over HTTP and a websocket', async (subgraph): Promise<OpenConnection> => {
  const server = await serveSubgraph({
    subgraph,
    tokens,
    replayGuard: createReplayGuard('flags', createInProcessStore(), silent),
    ready: async () => true,
    host: '127.0.0.1',
    port: 0,
  });
  const connection = connectRemote({ name: 'flags', urls: [`http://127.0.0.1:${server.port}`], tokens });
  return {
    connection,
    async close() {
      await connection.close();
      await server.close();
    },
  };
});

describe('a subgraph process that is lost', () => {
  let changes: ScriptedChanges;
  let server: Awaited<ReturnType<typeof serve>>;
  let proxy: SeverableProxy;
  let connection: ReturnType<typeof connectRemote>;

  beforeEach(async () => {
    changes = new ScriptedChanges();
    server = await serve(changes);
    proxy = await openProxy({ host: '127.0.0.1', port: server.port });
    // Long enough for a busy machine to answer a ping in.
    connection = connectRemote({
      name: 'flags',
      urls: [`http://127.0.0.1:${proxy.port}`],
      tokens,
      pingIntervalMs: 500,
    });
  });
  afterEach(async () => {
    await connection.close();
    await proxy.close();
    await server.close();
  });

  async function subscribed(): Promise<SubgraphStream> {
    const stream = connection.subscribe(changesOf());
    await stream.established;
    return stream;
  }

  test('fails the pending next() and what is executed, without an address, and serves again when it is back', async () => {
    const stream = await subscribed();
    const pending = stream.next();
    const failed = expect(pending).rejects.toThrow(unavailable);
    proxy.sever();
    await failed;
    const refusal = await connection
      .execute(request(FLAG_QUERY, { key: 'eco' }))
      .catch((error: unknown) => error as Error);
    expect(refusal).toEqual(unavailable);
    expect((refusal as Error).message).not.toMatch(/127\.0\.0\.1|ECONN/);
    expect(await connection.ready()).toBe(false);
    await eventually(() => changes.open === 0);

    proxy.restore();
    expect(await connection.ready()).toBe(true);
    expect(await connection.execute(request(FLAG_QUERY, { key: 'none' }))).toEqual({ data: { flag: null } });
    const again = await subscribed();
    changes.emit({ revision: 2 });
    expect(await take(again)).toMatchObject({ data: { flagChanges: { revision: 2 } } });
    await again.return?.();
  });

  test('gives what arrived before the loss, and then the loss', async () => {
    const stream = await subscribed();
    const other = await subscribed();
    changes.emit({ revision: 1 });
    expect(await take(other)).toMatchObject({ data: { flagChanges: { revision: 1 } } });
    proxy.sever();
    await expect(other.next()).rejects.toThrow(unavailable);
    expect(await take(stream)).toMatchObject({ data: { flagChanges: { revision: 1 } } });
    await expect(stream.next()).rejects.toThrow(unavailable);
    await expect(stream.next()).rejects.toThrow(unavailable);
  });

  test('is noticed by its silence when nothing closes the connection', async () => {
    const stream = await subscribed();
    proxy.freeze();
    await expect(stream.next()).rejects.toThrow(unavailable);
  });

  test('does not end a connection on which pings are answered', async () => {
    const stream = await subscribed();
    let over = false;
    const pending = stream.next().finally(() => (over = true));
    // Three pings and their answers.
    const enough = proxy.passed + 6;
    await eventually(() => over || proxy.passed >= enough);
    expect(over).toBe(false);
    changes.emit({ revision: 1 });
    expect(await pending).toMatchObject({ done: false });
    await stream.return?.();
  });

  test('fails a subscription that begins while the subgraph is down', async () => {
    proxy.sever();
    const stream = connection.subscribe(changesOf());
    await expect(stream.established).rejects.toThrow(unavailable);
    await expect(stream.next()).rejects.toThrow(unavailable);
  });

  test('closes its subscriptions in order when it is stopped', async () => {
    const stream = await subscribed();
    const failed = expect(stream.next()).rejects.toThrow(unavailable);
    await server.close();
    await failed;
    expect(changes.open).toBe(0);
    server = await serve(changes);
  });
});

describe('answers as text from a subgraph process', () => {
  test('are those of execute, for any caller, and those of one turn come by one request', async () => {
    const server = await serve(new ScriptedChanges());
    let signed = 0;
    const counting = {
      ...tokens,
      sign: (...args: Parameters<typeof tokens.sign>) => {
        signed += 1;
        return tokens.sign(...args);
      },
    };
    const connection = connectRemote({ name: 'flags', urls: [`http://127.0.0.1:${server.port}`], tokens: counting });
    try {
      const requests = [
        request(FLAG_QUERY, { key: 'eco' }),
        request(FLAG_QUERY, { key: 'none' }),
        request(FLAG_QUERY, {}),
        request(FLAG_QUERY, { key: 'eco' }, ANONYMOUS),
        request('{ nonsense }'),
        request(`${FLAG_QUERY} # ${'long'.repeat(MAX_QUESTION_LENGTH / 4)}`, { key: 'eco' }),
      ];
      const answers = await Promise.all(requests.map(async (one) => connection.answer?.(one)));
      // One is too long to be asked with the others.
      expect(signed).toBe(2);
      const texts = await Promise.all(requests.map(async (one) => answerTextOf(await connection.execute(one))));
      expect(answers).toEqual(texts);
      expect(answers.map((answer) => answer?.json !== undefined)).toEqual([true, true, false, false, false, true]);
    } finally {
      await connection.close();
      await server.close();
    }
  });

  test('reject where the subgraph is down', async () => {
    const server = await serve(new ScriptedChanges());
    const connection = connectRemote({ name: 'flags', urls: [`http://127.0.0.1:${server.port}`], tokens });
    await server.close();
    await expect(connection.answer?.(request(FLAG_QUERY, { key: 'eco' }))).rejects.toThrow('ECONNREFUSED');
    await connection.close();
  });
});
