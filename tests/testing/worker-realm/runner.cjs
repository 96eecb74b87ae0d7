/**
 * Jest's runner of all tests, which also gives what each file has cost: the seconds that processors worked for it in
 * this worker, and in processes that it started and that have ended (`processorSeconds` of the result). It names what a
 * file leaves open (`leftOpen`), which would keep the worker from ending.
 */
const { AsyncLocalStorage } = require('node:async_hooks');
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { setTimeout: delay } = require('node:timers/promises');

// They come with jest; package.json does not name them.
const requireOfJest = createRequire(createRequire(require.resolve('jest/package.json')).resolve('@jest/core'));
const { default: runFile } = createRequire(requireOfJest.resolve('jest-config'))('jest-circus/runner');

/** Milliseconds between two checks whether what a file has closed is gone. A file may have faked time. */
const CHECK_MS = 10;
const MAX_CHECKS = 300;

/** Linux counts in hundredths of a second for its users, whatever its own clock does. */
const TICKS_PER_SECOND = 100;

/**
 * The storages that the present file has used. Until Node 24 each one makes every promise of the process dearer for as
 * long as it is not disabled, and each file has one of the test runner's: after two hundred files, an await took three
 * hundred times as long.
 */
const used = new Set();

/**
 * The contexts that the test runner has stored along the promises, timers and sockets of the present file: its tests
 * and hooks, and by these all modules of the file. A promise that a package keeps, and a timer that is still to come,
 * would keep them in memory: a worker had 700 MB after fifty files, which each collection of garbage marked again.
 */
const stored = new Set();
/** The observers of the present file, such as that of garbage collections in the metrics of each gateway. */
const observers = new Set();
const observe = PerformanceObserver.prototype.observe;
PerformanceObserver.prototype.observe = function (...args) {
  observers.add(this);
  return observe.apply(this, args);
};

for (const method of ['run', 'enterWith']) {
  const original = AsyncLocalStorage.prototype[method];
  AsyncLocalStorage.prototype[method] = function (store, ...args) {
    used.add(this);
    if (store !== null && typeof store === 'object' && ('test' in store || 'hook' in store)) stored.add(store);
    return original.call(this, store, ...args);
  };
}

/** Lets go of what would keep a file in memory after its end. */
function letGo() {
  for (const storage of used) storage.disable();
  used.clear();
  for (const store of stored) {
    delete store.test;
    delete store.hook;
  }
  stored.clear();
  for (const observer of observers) observer.disconnect();
  observers.clear();
}

/** Gives the processor seconds of this process's children that have ended; 0 where the system does not say it. */
function secondsOfChildren() {
  if (process.platform !== 'linux') return 0;
  const stat = readFileSync('/proc/self/stat', 'latin1');
  // After the name, which may hold blanks; they are the 16th and the 17th field of proc(5).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}

function seconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000_000 + secondsOfChildren();
}

/** Gives what keeps the process alive now and did not before. */
function openedSince(before) {
  const known = [...before];
  return process.getActiveResourcesInfo().filter((kind) => {
    const index = known.indexOf(kind);
    if (index >= 0) known.splice(index, 1);
    return index < 0;
  });
}

async function leftOpenSince(before) {
  let left = openedSince(before);
  for (let check = 1; left.length > 0 && check < MAX_CHECKS; check++) {
    await delay(CHECK_MS);
    left = openedSince(before);
  }
  return left;
}

module.exports = async (...args) => {
  const [begun, open] = [seconds(), process.getActiveResourcesInfo()];
  const result = await runFile(...args);
  letGo();
  const leftOpen = await leftOpenSince(open);
  return { ...result, processorSeconds: seconds() - begun, leftOpen };
};
