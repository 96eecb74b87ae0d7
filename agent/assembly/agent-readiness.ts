/** Whether an agent can evaluate flags: it cannot before they are loaded or synced, nor after it was closed. */
import { FleetFlagError } from '../../core/errors.ts';

/** The time in which an agent can evaluate flags. It begins at most once, and not after its end. */
export class AgentReadiness {
  /** Resolves when flags can be evaluated. Stays pending where the agent is closed before. */
  readonly begun: Promise<void>;
  #resolve!: () => void;
  #isReady = false;
  #hasEnded = false;

  constructor() {
    this.begun = new Promise((resolve) => (this.#resolve = resolve));
  }

  /** Whether flags can be evaluated. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether the agent was closed. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Records that flags can be evaluated from now on. Does nothing once the agent was closed. */
  begin(): void {
    if (this.#hasEnded) return;
    this.#isReady = true;
    this.#resolve();
  }

  /** Records that the agent was closed: no flag can be evaluated from now on. */
  end(): void {
    this.#isReady = false;
    this.#hasEnded = true;
  }

  /** Throws FleetFlagError SERVICE_UNAVAILABLE where the agent was closed. */
  refuseClosed(): void {
    if (this.#hasEnded)
      throw new FleetFlagError('SERVICE_UNAVAILABLE', 'This agent has been closed; create a new one.');
  }
}
