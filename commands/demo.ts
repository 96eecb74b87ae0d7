/**
 * `npm run demo [-- --once --fast --open]`: runs the control plane, a fleet and three vehicle agents in a temporary
 * folder, and shows them step by step. Exit codes: 0 ended as asked, 1 a step failed, 2 wrong usage or settings, 130
 * interrupted during the show.
 */
import { spawn } from 'node:child_process';
import { freemem } from 'node:os';
import { parseArgs } from 'node:util';
import colors from 'picocolors';
import { unattended } from '../core/last-handler/unattended.ts';
import { answerHelp, suggestOption } from './command-line.ts';
import { ConfigurationError, readConfiguration } from '../main/configuration.ts';
import { runShow, showDoors } from './demo/show.ts';
import { Stage } from './demo/stage.ts';
import { Terminal } from './demo/terminal.ts';
import { errorMessage } from '../core/caught-error.ts';

const USAGE = `Usage: npm run demo [-- --once] [--fast] [--open]

  --once    ends after the show instead of staying up
  --fast    does not pause between the steps
  --open    opens the console in the browser at the end; not with --once
  --help, --version

The demo uses PORT and HOST (PORT=0 picks a free port) and no other setting.`;

/** The longest pause between two steps, in milliseconds. */
const PAUSE_MS = 10_000;
/** The memory that the control plane with its embedded engines and the agents need, in bytes. */
const NEEDED_MEMORY = 1_200_000_000;

/** The exit code that shells give for a program that a signal has ended. */
const EXIT_CODE_INTERRUPTED = 130;

answerHelp(USAGE);

function readOptions(): { once: boolean; fast: boolean; open: boolean; host: string; port: number } {
  try {
    const { values } = parseArgs({
      args: process.argv.slice(2),
      options: {
        once: { type: 'boolean', default: false },
        fast: { type: 'boolean', default: false },
        open: { type: 'boolean', default: false },
      },
    });
    if (values.once && values.open)
      throw new Error(
        '--once ends the control plane, so --open would open a page that is gone: leave one of them out.',
      );
    const { host, port } = readConfiguration();
    return { ...values, host, port };
  } catch (error) {
    console.error(
      error instanceof ConfigurationError
        ? error.message
        : `${errorMessage(error)}${suggestOption(/'(--?[^ ']+)/.exec(errorMessage(error))?.[1] ?? '', USAGE)}\n\n${USAGE}`,
    );
    process.exit(2);
  }
}

const { once, fast, open, host, port } = readOptions();
const terminal = new Terminal(process.stdout.isTTY && colors.isColorSupported, (text) => process.stdout.write(text));
if (!fast && process.stdin.isTTY && process.stdout.isTTY) terminal.pause = pauseAtTerminal;
// A closed reader (`| head`) must not leave processes behind.
process.stdout.on('error', () => undefined);

/** Waits for a key, for ten seconds at most. */
function pauseAtTerminal(): Promise<void> {
  terminal.say();
  terminal.say(terminal.colors.dim('Enter goes on, and so does waiting for ten seconds.'));
  return new Promise((resolve) => {
    const goOn = () => {
      clearTimeout(timer);
      process.stdin.off('data', goOn).pause();
      resolve();
    };
    const timer = setTimeout(goOn, PAUSE_MS);
    process.stdin.on('data', goOn).resume();
  });
}

/**
 * Opens the console in the browser of this machine. On a machine without a browser, prints the address once more.
 */
function openConsole(url: string): void {
  const command = process.platform === 'darwin' ? 'open' : 'xdg-open';
  const failed = () => terminal.say(`No browser could be opened here. Open ${url}/console yourself.`);
  spawn(command, [`${url}/console`], { stdio: 'ignore', detached: true })
    .on('error', failed)
    .on('exit', (code) => void (code !== 0 && failed()))
    .unref();
}

let shown = false;
let leaving = false;
let stage: Stage | undefined;

/** Ends everything, then the process. */
async function leave(code: number): Promise<void> {
  if (leaving) return;
  leaving = true;
  try {
    await stage?.close();
  } catch (error) {
    console.error(`The demo could not clean up: ${errorMessage(error)}`);
    process.exit(1);
  }
  process.exit(code);
}

function stop(): void {
  if (leaving) return;
  terminal.say();
  terminal.say('Ending the vehicles and the control plane …');
  unattended(leave(shown ? 0 : EXIT_CODE_INTERRUPTED), 'Ending the demo');
}
// A second signal while stopping has no effect: an early exit would leave processes behind.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);

try {
  terminal.title('FleetFlag: feature flags for vehicle fleets');
  if (freemem() < NEEDED_MEMORY)
    throw new Error(
      `The demo needs ${NEEDED_MEMORY / 1e6} MB of free memory, and this machine has ${Math.round(freemem() / 1e6)} MB: close other programs.`,
    );
  terminal.say(
    'Starting the control plane with its databases, which takes some seconds, and up to a minute on a slow disk …',
  );
  stage = await Stage.open(host, port);
  await runShow(stage, terminal);
  showDoors(stage, !once, terminal);
  if (open) openConsole(stage.url);
  shown = true;
  if (once) await leave(0);
} catch (error) {
  // After Ctrl-C, steps fail because their processes are being ended.
  if (!leaving) {
    console.error(`\nThe demo failed: ${errorMessage(error)}`);
    await leave(1);
  }
}
