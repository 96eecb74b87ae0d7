/**
 * Jest's environment of all tests: the globals of the worker itself, in place of a realm for each file. Jest's own
 * environment makes every file load each package again and reach every global through a proxy, which took half of the
 * processor time of all tests. What a file changes of the worker is put back when it ends.
 */
const { createRequire } = require('node:module');

// They come with jest; package.json does not name them.
const requireOfJest = createRequire(createRequire(require.resolve('jest/package.json')).resolve('@jest/core'));
const requireOfRunner = createRequire(requireOfJest.resolve('jest-runner'));
const requireOfNode = createRequire(requireOfRunner.resolve('jest-environment-node'));
const { ModernFakeTimers } = requireOfNode('@jest/fake-timers');
const { ModuleMocker } = requireOfNode('jest-mock');

/** Fake timers that leave `process.nextTick` as it is: Node's own streams and sockets run by it. */
class FakeTimers extends ModernFakeTimers {
  useFakeTimers({ doNotFake = [], ...others } = {}) {
    super.useFakeTimers({ ...others, doNotFake: [...doNotFake, 'nextTick'] });
  }
}

/**
 * Ends a worker as soon as nothing keeps it. The destructors of the metrics engine (chdb) take longer on a busy machine
 * than the half second after which Jest reports that tests leak. A test that does leak never gets here, and is
 * reported.
 */
if (process.send !== undefined) process.once('beforeExit', () => process.kill(process.pid, 'SIGKILL'));

module.exports = class WorkerRealm {
  global = globalThis;
  moduleMocker = new ModuleMocker(globalThis);
  fakeTimers = null;
  fakeTimersModern;
  /** Jest takes null for an environment that has been torn down. */
  #context = {};
  #console = globalThis.console;
  #process = { exit: process.exit, getBuiltinModule: process.getBuiltinModule };
  #variables = { ...process.env };
  /** The listeners of the streams that all files write to, such as those of the logs. */
  #listeners = [process.stdout, process.stderr].flatMap((stream) =>
    ['error', 'drain'].map((event) => ({ stream, event, before: stream.rawListeners(event) })),
  );

  constructor({ projectConfig }) {
    this.fakeTimersModern = new FakeTimers({ config: projectConfig, global: globalThis });
    // The counts of the file before.
    delete globalThis.__coverage__;
  }

  async setup() {}

  async teardown() {
    this.fakeTimersModern.dispose();
    globalThis.console = this.#console;
    Object.assign(process, this.#process);
    for (const name of Object.keys(process.env)) if (!(name in this.#variables)) delete process.env[name];
    Object.assign(process.env, this.#variables);
    for (const { stream, event, before } of this.#listeners)
      for (const listener of stream.rawListeners(event))
        if (!before.includes(listener)) stream.removeListener(event, listener);
    this.#context = null;
  }

  exportConditions() {
    return ['node', 'node-addons'];
  }

  getVmContext() {
    return this.#context;
  }
};
