import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { FleetFlagAgentOptions } from '../assembly/agent-options.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { createAuthority, type Certificate } from '../testing/certificates.ts';
import { ConnectProxy } from '../testing/connect-proxy.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { TlsFront } from '../testing/tls-front.ts';

const authority = createAuthority('Carmaker authority');
const ca = authority.certificate;
const good = authority.issue(['localhost', '127.0.0.1', 'gateway.example']);
/** The credentials of a user whose characters need escaping in a header and in a URL. */
const SECRET = 'pass:wörd%';

let plane: TestControlPlane;
let vehicle: TestVehicle;
let front: TlsFront;
let proxy: ConnectProxy;
let log: string[];

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  front = await TlsFront.open(planePort(), good);
  proxy = await ConnectProxy.open();
  log = [];
  await plane.put('lane_keep', { defaultValue: true });
});

afterEach(async () => {
  await vehicle.dispose();
  await front.close();
  await proxy.close();
  await plane.stop();
});

const planePort = () => Number(new URL(plane.url).port);
const secureUrl = (host = 'localhost') => `wss://${host}:${front.port}/graphql`;
const logged = (text: string | RegExp) =>
  eventually(
    () => log.some((line) => (typeof text === 'string' ? line.includes(text) : text.test(line))),
    `it logs ${String(text)}`,
  );

function start(options: Partial<FleetFlagAgentOptions>): Promise<FleetFlagAgent> {
  return vehicle.start({
    ...options,
    log: (_level, message, fields) => void log.push(`${message} ${JSON.stringify(fields ?? {})}`),
  });
}

async function inSync(agent: FleetFlagAgent): Promise<void> {
  await eventually(() => agent.inTouch && agent.status().revision === plane.revision, 'it is in sync');
}

describe('with wss', () => {
  test.each(['localhost', '127.0.0.1'])(
    'a gateway at %s whose certificate an own authority has signed is trusted',
    async (host) => {
      await inSync(await start({ url: secureUrl(host), ca }));
      // A name is asked for, an address is not (RFC 6066).
      expect(front.names).toEqual([host === 'localhost' ? 'localhost' : false]);
    },
  );

  test('the first keys are fetched the same way', async () => {
    const agent = await start({ url: secureUrl(), ca, keys: null });
    await inSync(agent);
    expect(agent.status().pinnedKeys).toEqual([plane.key.kid]);
    await logged(`trusting those that https://localhost:${front.port}/.well-known/jwks.json serves`);
  });

  const hour = 3_600_000;
  const refused: [string, RegExp, string | null, Certificate][] = [
    ['of an authority that is not known', /UNABLE|unable to (verify|get)/, null, good],
    [
      'of another authority of the same name',
      /signature failure|unable to/,
      createAuthority('Carmaker authority').certificate,
      good,
    ],
    ['for another name', /Host: localhost/, ca, authority.issue(['other.example'])],
    ['for a name above', /Host: localhost/, ca, authority.issue(['*.localhost', 'localhos', 'localhost.example'])],
    [
      'that has expired',
      /expired/,
      ca,
      authority.issue(['localhost'], { from: new Date(Date.now() - 2 * hour), to: new Date(Date.now() - hour) }),
    ],
    [
      'that is not valid yet',
      /not yet valid/,
      ca,
      authority.issue(['localhost'], { from: new Date(Date.now() + hour), to: new Date(Date.now() + 2 * hour) }),
    ],
  ];

  test.each(refused)(
    'a certificate %s is refused, the log says why, no token is sent, and the agent connects again',
    async (_what, why, trusted, certificate) => {
      front.present(certificate);
      // What switches verification off in other programs does not here.
      process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
      try {
        const agent = await start({ url: secureUrl(), ca: trusted });
        await eventually(
          () =>
            log.filter((line) => line.includes(`the certificate of localhost:${front.port} is not trusted`)).length >=
            2,
          'it has tried again',
        );
        await logged(why);
        expect(agent.status()).toMatchObject({ ready: false, connected: false });
        expect(plane.tokens).toEqual([]);
      } finally {
        delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
      }
    },
  );

  test('the first keys are not taken from a gateway that is not trusted', async () => {
    const agent = await start({ url: secureUrl(), keys: null });
    await logged('is not trusted');
    expect(agent.status().pinnedKeys).toEqual([]);
  });

  test('a gateway that gets a good certificate is connected to', async () => {
    front.present(authority.issue(['other.example']));
    const agent = await start({ url: secureUrl(), ca });
    await logged('is not trusted');
    front.present(good);
    await inSync(agent);
  });

  test('a server that does not speak TLS is refused', async () => {
    await start({ url: `wss://localhost:${planePort()}/graphql`, ca });
    await logged(`the TLS handshake with localhost:${planePort()} failed`);
  });
});

describe('through a proxy', () => {
  test.each([
    ['ws', () => plane.url, () => `127.0.0.1:${planePort()}`],
    ['wss', () => secureUrl(), () => `localhost:${front.port}`],
  ])('%s is spoken as it is without one, also for the first keys', async (_protocol, url, asked) => {
    const agent = await start({ url: url(), ca, keys: null, proxy: `http://${proxy.host}` });
    await inSync(agent);
    await plane.put('lane_keep', { defaultValue: false });
    await inSync(agent);
    expect(proxy.asked).toEqual([asked(), asked()]);
  });

  test('the proxy resolves names, and the certificate is for the name', async () => {
    proxy.resolve = () => '127.0.0.1';
    await inSync(await start({ url: secureUrl('gateway.example'), ca, proxy: `http://${proxy.host}` }));
    expect(proxy.asked).toEqual([`gateway.example:${front.port}`]);
    front.present(authority.issue(['localhost']));
    await start({
      url: secureUrl('gateway.example'),
      ca,
      proxy: `http://${proxy.host}`,
      databaseFile: join(vehicle.folder, 'other.db'),
    });
    await logged(`the certificate of gateway.example:${front.port} is not trusted`);
  });

  test('user and password are sent, and never logged', async () => {
    proxy.wants = `car:${SECRET}`;
    const agent = await start({ url: plane.url, proxy: `http://car:${encodeURIComponent(SECRET)}@${proxy.host}` });
    await inSync(agent);
    await proxy.close();
    await logged(`cannot connect through the proxy ${proxy.host}`);
    expect(log.join('\n')).not.toMatch(/pass|car:|Basic/);
    expect(JSON.stringify(agent.status())).not.toMatch(/pass/);
  });

  test('a proxy that wants another password is logged, and works once the password is right', async () => {
    proxy.wants = `car:${SECRET}`;
    const agent = await start({ url: plane.url, proxy: `http://car:old@${proxy.host}` });
    await logged(
      `the proxy ${proxy.host} refused to connect to 127.0.0.1:${planePort()}: 407 Proxy Authentication Required`,
    );
    expect(log.join('\n')).not.toContain('old');
    proxy.wants = null;
    await inSync(agent);
  });

  test('an agent connects again after a proxy was down, did not answer, or could not reach the gateway', async () => {
    await proxy.close();
    const agent = await start({ url: plane.url, proxy: `http://${proxy.host}`, timings: { openMs: 300 } });
    await logged(/cannot connect through the proxy .* \(.*ECONNREFUSED/);
    proxy.answering = false;
    await proxy.listen();
    await eventually(() => proxy.asked.length >= 2, 'it is asked again and again');
    await logged('no handshake within 300 ms');
    await plane.stop();
    proxy.answering = true;
    await logged('502 Bad Gateway');
    await plane.listen();
    await inSync(agent);
  });
});
