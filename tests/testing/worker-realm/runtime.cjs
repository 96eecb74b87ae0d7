/**
 * Jest's runtime of all tests: loads a package once in a worker, and our sources again for each test file, so that no
 * file sees the state of another's modules.
 */
const { createRequire } = require('node:module');
const { join, sep } = require('node:path');
const { pathToFileURL } = require('node:url');
const { SyntheticModule } = require('node:vm');

// It comes with jest; package.json does not name it.
const requireOfJest = createRequire(createRequire(require.resolve('jest/package.json')).resolve('@jest/core'));
const { default: Runtime } = requireOfJest('jest-runtime');

const PACKAGES = `${sep}node_modules${sep}`;
/** The engine's bindings hold the one WebAssembly instance that was given to them, and our module instantiates it. */
const HELD_BY_ONE_FILE = `${PACKAGES}@prisma${sep}schema-engine-wasm${sep}`;
const CIRCUS = `${PACKAGES}jest-circus${sep}`;
const FEDERATION = `${PACKAGES}@apollo${sep}federation-internals${sep}`;

let federationIsShared = false;

module.exports = class WorkerRealmRuntime extends Runtime {
  constructor(config, environment, resolver, transformer, cacheFS, coverage, testPath, globalConfig) {
    // The tests of core are beside it and cover it. To count in all others would slow them for nothing.
    const isCounted = testPath.startsWith(join(config.rootDir, 'core', sep));
    const ownCoverage = { ...coverage, collectCoverage: isCounted && coverage.collectCoverage };
    super(config, environment, resolver, transformer, cacheFS, ownCoverage, testPath, globalConfig);
    Object.assign(this.esmLoader, {
      // The worker's realm.
      getContext: () => undefined,
      loadCjsAsEsm: (_from, path) => this.#sharedModule(path),
      // These two are for versions of Node whose modules link without waiting (24.9).
      pendingCjsBuildIsUnmarkedEsm: () => false,
      buildCjsAsEsmSyntheticModule: (_from, path) => moduleOf(path, namespaceOf(require(path))),
    });
  }

  /** A package's files are Node's to load, whichever form they have. */
  unstable_shouldLoadAsEsm(path) {
    const isShared = path.includes(PACKAGES) && !path.includes(HELD_BY_ONE_FILE);
    return !isShared && super.unstable_shouldLoadAsEsm(path);
  }

  requireModule(from, name) {
    return name === undefined ? require(from) : createRequire(from)(name);
  }

  requireInternalModule(from, name) {
    // Jest's test runner keeps the tests of a file in its modules.
    if (name === undefined && from.includes(CIRCUS)) forgetCircus();
    return this.requireModule(from, name);
  }

  #sharedModule(path) {
    const registry = this.registries.getActiveEsmRegistry();
    const url = pathToFileURL(path).href;
    if (!registry.has(url)) registry.set(url, loaded(path, url));
    return registry.get(url);
  }
};

function forgetCircus() {
  for (const path of Object.keys(require.cache)) if (path.includes(CIRCUS)) delete require.cache[path];
  // Node also keeps a module in the list of who has loaded it, and this one keeps the tests of its file.
  module.children = module.children.filter(({ id }) => !id.includes(CIRCUS));
  delete globalThis[Symbol.for('EVENT_HANDLERS')];
  // Each loading has a symbol of its own, under which the tests of its file, and so all modules of that, would stay.
  for (const symbol of Object.getOwnPropertySymbols(globalThis))
    if (symbol.description === 'JEST_STATE_SYMBOL') delete globalThis[symbol];
}

function namespaceOf(exported) {
  const isObject = (typeof exported === 'object' && exported !== null) || typeof exported === 'function';
  return isObject && exported[Symbol.toStringTag] === 'Module' ? exported : { ...exported, default: exported };
}

function moduleOf(path, namespace) {
  return new SyntheticModule(
    Object.keys(namespace),
    function () {
      for (const [name, value] of Object.entries(namespace)) this.setExport(name, value);
    },
    { identifier: path },
  );
}

/** Building the same supergraph again takes half of the start of a gateway, and nothing changes one that is built. */
function shareBuilt({ Supergraph }) {
  const build = Supergraph.build.bind(Supergraph);
  const built = new Map();
  Supergraph.build = (source, options) => {
    const id = JSON.stringify([source, options]);
    if (!built.has(id)) built.set(id, build(source, options));
    return built.get(id);
  };
}

async function loaded(path, url) {
  const namespace = await import(url);
  if (path.includes(FEDERATION) && !federationIsShared) {
    federationIsShared = true;
    shareBuilt(namespace);
  }
  const module = moduleOf(path, namespace);
  await module.link(() => undefined);
  await module.evaluate();
  return module;
}
