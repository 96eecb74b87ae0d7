/** `npm start`: the whole control plane in one process. */
import { startControlPlane } from './control-plane.ts';
import { runUntilStopped } from './process.ts';

await runUntilStopped({}, startControlPlane);
