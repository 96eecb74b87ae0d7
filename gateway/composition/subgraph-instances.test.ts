import { createServer, type RequestListener, type Server } from 'node:http';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { boundAddress } from '../../core/wire/network/http-server.ts';
import { DRAINING_HEADER } from '../../core/wire/subgraph/draining.ts';
import { isRepeatable } from './repeatable.ts';
import { SubgraphInstances } from './subgraph-instances.ts';

const servers: Server[] = [];
let instances: SubgraphInstances;

/** Starts an instance; gives its URL. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${boundAddress(server).port}/`;
}

/** Gives the URL of a port on which nobody listens. */
async function nobody(): Promise<string> {
  const url = await serve(() => undefined);
  const server = servers.pop();
  server?.close();
  await once(server as Server, 'close');
  return url;
}

const saying =
  (name: string, headers: Record<string, string> = {}): RequestListener =>
  (_request, response) =>
    response.writeHead(200, headers).end(name);
const breaking: RequestListener = (request) => void request.socket.destroy();

function open(urls: readonly string[], timeoutMs = 5_000): void {
  instances = new SubgraphInstances({ urls, timeoutMs });
}

let attempts = 0;
async function ask(isSafe = true): Promise<string> {
  const answer = await instances.post(
    '/graphql',
    async () => {
      attempts += 1;
      return { headers: { token: `${attempts}` }, body: '{}' };
    },
    isSafe,
  );
  return answer.body.toString();
}

afterEach(async () => {
  instances.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
  attempts = 0;
});

describe('the instances of a subgraph', () => {
  test('are asked in turn', async () => {
    open([await serve(saying('a')), await serve(saying('b'))]);
    expect([await ask(), await ask(), await ask(false)]).toEqual(['a', 'b', 'a']);
  });

  test('that take no connection are passed over, for mutations too, and left alone for a while', async () => {
    open([await nobody(), await serve(saying('b'))]);
    expect([await ask(false), await ask(false), await ask(false)]).toEqual(['b', 'b', 'b']);
    // One attempt more than requests: after the first, the dead instance comes last.
    expect(attempts).toBe(4);
  });

  test('that say that they stop get nothing more, and lose nothing', async () => {
    let answered = 0;
    const stopping = saying('a', { [DRAINING_HEADER]: '1' });
    const first = await serve((request, response) => {
      answered += 1;
      stopping(request, response);
    });
    open([first, await serve(saying('b'))]);
    expect([await ask(), await ask(), await ask(), await ask()]).toEqual(['a', 'b', 'b', 'b']);
    expect(answered).toBe(1);
  });

  test('that stop one after the other are replaced by the one that has had the time to come back', async () => {
    let answered = 0;
    const [stopping, back] = [saying('a', { [DRAINING_HEADER]: '1' }), saying('a')];
    const first = await serve((request, response) => ((answered += 1) === 1 ? stopping : back)(request, response));
    open([first, await serve(saying('b', { [DRAINING_HEADER]: '1' }))]);
    const asked = [await ask(), await ask(), await ask(), await ask(), await ask()];
    expect(asked).toEqual(['a', 'b', 'a', 'a', 'a']);
  });

  test('that break off in the middle are replaced where the request may be done twice', async () => {
    open([await serve(breaking), await serve(saying('b'))]);
    expect(await ask()).toBe('b');
    expect(attempts).toBe(2);
  });

  test('that break off in the middle of anything else fail, and it is sent once', async () => {
    const urls = [await serve(breaking), await serve(saying('b'))];
    open(urls);
    await expect(ask(false)).rejects.toMatchObject({ progress: 'cut' });
    expect(attempts).toBe(1);
  });

  test('whose answer is late are not replaced', async () => {
    open([await serve(() => undefined), await serve(saying('b'))], 50);
    await expect(ask()).rejects.toMatchObject({ progress: 'late' });
    expect(attempts).toBe(1);
  });

  test('behind one URL are tried twice', async () => {
    let count = 0;
    const turns: RequestListener = (request, response) =>
      (count += 1) === 1 ? request.socket.destroy() : response.end('second');
    open([await serve(turns)]);
    expect(await ask()).toBe('second');
  });

  test('that cannot be reached at all fail', async () => {
    open([await nobody(), await nobody()]);
    await expect(ask()).rejects.toMatchObject({ progress: 'unsent' });
    expect(await instances.ready()).toBe(false);
  });

  test('give a connection that stays to one that is ready', async () => {
    const urls = [await serve((_request, response) => response.writeHead(503).end()), await serve(saying('b'))];
    open(urls);
    expect((await instances.answering()).href).toBe(urls[1]);
    expect((await instances.answering()).href).toBe(urls[1]);
    expect(await instances.ready()).toBe(true);
  });
});

test.each([
  ['{ flag(key: "a") { key } }', true],
  ['query Q__flags__0 { ...F } fragment F on Query { flag(key: "a") { key } }', true],
  ['mutation { agentHeartbeat(input: {}) { revision } }', true],
  ['mutation M { sent: reportMetrics(batch: {}) { stored } }', true],
  ['mutation { killSwitch(flagKey: "a", reason: "b") { applied } }', false],
  ['mutation { agentHeartbeat(input: {}) { revision } enableFlag(key: "a") { applied } }', false],
  ['mutation { ...M } fragment M on Mutation { agentHeartbeat(input: {}) { revision } }', false],
  ['mutation {', false],
])('%s may be sent twice: %s', (query, expected) => {
  expect(isRepeatable(query)).toBe(expected);
  expect(isRepeatable(query)).toBe(expected);
});

describe('an answer from memory', () => {
  let asked: string[];
  /** Answers with a revision; from memory where `remembered`. */
  const at =
    (name: string, revision: number, remembered: boolean): RequestListener =>
    (_request, response) => {
      asked.push(name);
      response.end(JSON.stringify({ data: { revision }, ...(remembered && { extensions: { remembered } }) }));
    };
  const query = async () => {
    const { data } = await instances.ask(
      '/graphql',
      () => Promise.resolve({ headers: {}, body: '{}' }),
      ({ body }) => JSON.parse(body.toString()) as { data: { revision: number } },
    );
    return data?.['revision'];
  };
  beforeEach(() => {
    asked = [];
  });

  test('is passed over for one from the database, and its instance is left alone for a while', async () => {
    open([await serve(at('cut off', 46, true)), await serve(at('well', 54, false))]);
    for (let n = 0; n < 5; n++) expect(await query()).toBe(54);
    expect(asked).toEqual(['cut off', 'well', 'well', 'well', 'well', 'well']);
  });

  test('is given where no instance has another', async () => {
    open([await serve(at('a', 46, true)), await serve(at('b', 46, true))]);
    for (let n = 0; n < 3; n++) expect(await query()).toBe(46);
    expect(asked).toHaveLength(6);
  });

  test('is passed over for one of an instance that had only its memory a moment ago', async () => {
    let isAway = true;
    const back: RequestListener = (request, response) => at('back', isAway ? 46 : 54, isAway)(request, response);
    open([await serve(at('cut off', 46, true)), await serve(back)]);
    expect(await query()).toBe(46);
    isAway = false;
    for (let n = 0; n < 4; n++) expect(await query()).toBe(54);
  });

  test('is passed over for one of an instance that has just come back', async () => {
    let draining = true;
    const coming: RequestListener = (request, response) => {
      if (draining) response.setHeader(DRAINING_HEADER, '1');
      at('back', 54, false)(request, response);
    };
    open([await serve(coming), await serve(at('cut off', 46, true))]);
    expect(await query()).toBe(54);
    draining = false;
    expect(await query()).toBe(54);
    expect(asked).toEqual(['back', 'cut off', 'back']);
  });

  test('is given where the other instances are lost', async () => {
    open([await serve(at('a', 46, true)), await serve(breaking), await nobody()]);
    expect(await query()).toBe(46);
  });
});
