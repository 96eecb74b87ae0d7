/**
 * `npm run demo [-- --once]`: runs the control plane, a fleet and three vehicle agents in a temporary folder, and shows
 * them step by step. Exit codes: 0 ended as asked, 1 a step failed, 2 wrong usage or settings, 130 interrupted during
 * the show.
 */
import { parseArgs } from 'node:util';
import colors from 'picocolors';
import { unattended } from '../core/async/unattended.ts';
import { answerHelp, suggestOption } from './command-line.ts';
import { ConfigurationError, readConfiguration } from '../main/configuration.ts';
import { runShow, showDoors } from './demo/show.ts';
import { Stage } from './demo/stage.ts';
import { Terminal } from './demo/terminal.ts';
import { errorMessage } from '../core/caught-error.ts';

const USAGE = `Usage: npm run demo [-- --once]

  --once    ends after the show instead of staying up
  --help, --version

The demo uses PORT and HOST (PORT=0 picks a free port) and no other setting.`;

/** The exit code that shells give for a program that a signal has ended. */
const EXIT_CODE_INTERRUPTED = 130;

answerHelp(USAGE);

function readOptions(): { once: boolean; host: string; port: number } {
  try {
    const { values } = parseArgs({
      args: process.argv.slice(2),
      options: { once: { type: 'boolean', default: false } },
    });
    const { host, port } = readConfiguration();
    return { once: values.once, host, port };
  } catch (error) {
    console.error(
      error instanceof ConfigurationError
        ? error.message
        : `${errorMessage(error)}${suggestOption(/'(--?[^ ']+)/.exec(errorMessage(error))?.[1] ?? '', USAGE)}\n\n${USAGE}`,
    );
    process.exit(2);
  }
}

const { once, host, port } = readOptions();
const terminal = new Terminal(process.stdout.isTTY && colors.isColorSupported, (text) => process.stdout.write(text));
// A closed reader (`| head`) must not leave processes behind.
process.stdout.on('error', () => undefined);

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
  terminal.say('Starting a control plane, a fleet and three vehicle agents …');
  stage = await Stage.open(host, port);
  await runShow(stage, terminal);
  showDoors(stage, !once, terminal);
  shown = true;
  if (once) await leave(0);
} catch (error) {
  // After Ctrl-C, steps fail because their processes are being ended.
  if (!leaving) {
    console.error(`\nThe demo failed: ${errorMessage(error)}`);
    await leave(1);
  }
}
