/**
 * Measures the cost of event streams in the vehicle, and how soon a page receives a change. The bundled command runs as
 * a process of its own against a simulated control plane. The former way of pages, polling every 30 s, serves as
 * comparison.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';
import { EventSource } from 'eventsource';
import type { AgentStatus } from '../agent/api/agent-status.ts';
import { bundleCommand } from '../agent/packing/bundle.ts';
import { TestControlPlane } from '../agent/testing/control-plane.ts';
import { TestVehicle } from '../agent/testing/test-vehicle.ts';
import { eventually } from '../core/testing/eventually.ts';
import { startAgent, stopProcess, type AgentProcess } from './harness/agent-process.ts';

const FLAGS = 100;
const STREAMS = 100;
const ROUNDS = 5;
const CHANGES = 50;
/** The agent's process collects garbage every 5 s. */
const SETTLE_MS = 7_000;

/** Reads the resident kilobytes of a process. */
async function residentKb(child: ChildProcess): Promise<number> {
  return Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${child.pid}/status`, 'utf8'))?.[1]);
}

async function openStream(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.write(
    `GET /v1/events HTTP/1.1\r\nHost: localhost:${port}\r\nAccept: text/event-stream\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0.0.0\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n`,
  );
  await once(socket, 'data');
  return socket;
}

const middle = (samples: number[]) => [...samples].sort((a, b) => a - b)[Math.floor(samples.length / 2)]!;

/** Prints the figures. Takes about a minute and a half. Linux only: it reads /proc. */
export async function run(): Promise<void> {
  (globalThis as { EventSource?: unknown }).EventSource = EventSource;
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-bench-streams-'));
  const plane = await TestControlPlane.start();
  const vehicle = await TestVehicle.create(plane);
  let running: AgentProcess | null = null;
  try {
    await bundleCommand(folder);
    for (let flag = 0; flag < FLAGS; flag++) await plane.put(`feature_${flag}`);
    running = await startAgent({ command: [join(folder, 'fleetflag-agent.cjs')] }, vehicle);
    const { child, base } = running;
    await eventually(
      async () => ((await (await fetch(`${base}/v1/status`)).json()) as AgentStatus).revision === plane.revision,
      'it has synced',
    );

    const growthKb: number[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      await pause(SETTLE_MS);
      const before = await residentKb(child);
      const sockets: Socket[] = [];
      for (let stream = 0; stream < STREAMS; stream++) sockets.push(await openStream(Number(new URL(base).port)));
      const heard = Promise.all(sockets.map((socket) => once(socket, 'data')));
      await plane.put('feature_0', { defaultValue: round % 2 === 0 });
      await heard;
      await pause(SETTLE_MS);
      // The first round is not counted: its growth is compiled code, which stays.
      if (round > 0) growthKb.push((await residentKb(child)) - before);
      for (const socket of sockets) socket.destroy();
    }

    await OpenFeature.setProviderAndWait(new OFREPWebProvider({ baseUrl: base, cacheMode: 'disabled' }));
    const client = OpenFeature.getClient();
    const samplesMs: number[] = [];
    for (let change = 0; change < CHANGES; change++) {
      const heard = new Promise<void>((resolve) => {
        const handler = () => (client.removeHandler(ProviderEvents.ConfigurationChanged, handler), resolve());
        client.addHandler(ProviderEvents.ConfigurationChanged, handler);
      });
      const from = performance.now();
      await plane.put('feature_1', {
        rules:
          change % 2 === 0
            ? [{ id: 'kill', type: 'kill_switch', priority: 1, enabled: true, conditions: { force_disabled: true } }]
            : [],
      });
      await heard;
      samplesMs.push(performance.now() - from);
    }
    await OpenFeature.clearProviders();

    console.log(
      `\nEvent streams: ${STREAMS} connections, ${FLAGS} flags, ${ROUNDS} rounds; ${CHANGES} kill switches pulled and released\n`,
    );
    console.log('| | middle | worst |\n|---|---|---|');
    console.log(
      `| resident memory of ${STREAMS} connections after an event, KB | ${middle(growthKb)} | ${Math.max(...growthKb)} |`,
    );
    console.log(
      `| from the change to the stock web provider’s ConfigurationChanged, ms | ${middle(samplesMs).toFixed(0)} | ${Math.max(...samplesMs).toFixed(0)} |`,
    );
    console.log('| the same for a page that asks every 30 s, ms | 15000 | 30000 |');
  } finally {
    if (running !== null) await stopProcess(running.child);
    await vehicle.dispose();
    await plane.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
