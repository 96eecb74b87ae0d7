import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { SubgraphRequest, SubgraphResponse } from '../../core/wire/subgraph/subgraph.ts';
import { ScriptedGateway, VIN } from '../testing/scripted-gateway.ts';
import type { WireClient } from '../subscriptions/testing/wire-client.ts';

const CHANGES = 'subscription { flagChanges(environment: STAGING) { revision previousRevision } }';
const OTHER_VIN = 'KMHK281HGNU000002';

/** The registry as the flags subgraph sees it: partitions by VIN, and what has changed. */
class Registry {
  readonly partitions = new Map<string, string>();
  readonly named: { environment: string; model: string }[] = [];
  readonly vehicles: { vin: string; at: number }[] = [];
  now = 1_000;

  answer({ query, variables }: SubgraphRequest): SubgraphResponse | null {
    this.now += 1;
    if (query.includes('vehiclePartitions')) {
      const vins = variables?.['vins'];
      const known = Array.isArray(vins)
        ? vins.map((vin) => [String(vin), this.partitions.get(String(vin)) ?? '*'])
        : [];
      return { data: { vehiclePartitions: Object.fromEntries(known) } };
    }
    if (!query.includes('partitionNews')) return null;
    const [since, after] = [Number(variables?.['since']), String(variables?.['after'])];
    const vehicles = this.vehicles.filter(({ vin, at }) => at > since || (at === since && vin > after));
    return { data: { partitionNews: { readAt: this.now, named: since > this.now ? [] : this.named, vehicles } } };
  }

  register(vin: string, model: string): void {
    this.partitions.set(vin, model);
    this.vehicles.push({ vin, at: (this.now += 1) });
  }
}

let gateway: ScriptedGateway;
let registry: Registry;
beforeEach(async () => {
  registry = new Registry();
  gateway = await ScriptedGateway.start();
  gateway.partitions = (request) => registry.answer(request);
  gateway.answer = async () => ({ data: { flagProof: 'proof' } });
});
afterEach(() => gateway.close());

async function connected(vin: string): Promise<WireClient> {
  const token = await gateway.vehicleTokens.issue(vin, 'staging', new Date(Date.now() + 60_000));
  const client = await gateway.socket().acknowledged({ authorization: `Bearer ${token}` });
  client.subscribe('changes', CHANGES);
  return client;
}

/** The partitions in whose name the subgraphs were asked. */
const scopes = () =>
  gateway.asked.map(({ identity: { caller } }) => (caller.kind === 'vehicle' ? caller.partition : caller.kind));

const signal = () => gateway.partitionSignals.emit({ data: { partitionSignals: true } });

describe('a connected vehicle', () => {
  test('that is registered as another model sees its subscription end, and gets the other partition', async () => {
    registry.partitions.set(VIN, 'A');
    const [moved, stays] = [await connected(VIN), await connected(OTHER_VIN)];
    registry.register(VIN, 'B');
    signal();
    await moved.message('complete', 'changes');
    moved.subscribe('again', CHANGES);
    moved.subscribe('proof', '{ flagProof(environment: STAGING) }');
    await moved.result('proof');
    expect(scopes()).toEqual(['A', '*', 'B', 'B']);
    expect(stays.received.filter(({ type }) => type === 'complete')).toEqual([]);
  });

  test('leaves the partition of other models when a scope names its model for the first time', async () => {
    const [moved, stays] = [await connected(VIN), await connected(OTHER_VIN)];
    registry.partitions.set(VIN, 'A');
    registry.named.push({ environment: 'staging', model: 'A' });
    signal();
    await moved.message('complete', 'changes');
    expect(stays.received.filter(({ type }) => type === 'complete')).toEqual([]);
  });

  test('is found by polling, too, where the signal is lost', async () => {
    registry.partitions.set(VIN, 'A');
    const moved = await connected(VIN);
    registry.register(VIN, 'B');
    await moved.message('complete', 'changes');
  });
});

test('a vehicle whose partition is not known is sent away with 1013, and takes nothing with it', async () => {
  gateway.partitions = ({ query }) => (query.includes('vehiclePartitions') ? { data: null } : null);
  const token = await gateway.vehicleTokens.issue(VIN, 'staging', new Date(Date.now() + 60_000));
  const client = await gateway.socket().opened();
  client.send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
  expect((await client.close()).code).toBe(1013);
  const answer = await gateway.post(
    { query: '{ flagProof(environment: STAGING) }' },
    { authorization: `Bearer ${token}` },
  );
  expect(answer.body.errors?.[0]?.extensions).toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  expect(gateway.asked).toEqual([]);
});
