/** `npm start`: starts the whole control plane in one process. */
import { readPlainArguments } from './command-line.ts';
import { startControlPlane } from '../main/control-plane.ts';
import { runUntilStopped } from '../main/process.ts';

readPlainArguments(`Usage: npm start

Starts the whole control plane in one process. All settings are environment variables: docs/operations/configuration.md.

  --help, --version`);
await runUntilStopped({}, startControlPlane);
