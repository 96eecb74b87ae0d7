/** Whether an agent can evaluate flags: it cannot before they are loaded or synced, nor after it was closed. */
import { FleetFlagError } from '../../core/errors.ts';

/** Begins once, ends once, and never begins after its end. */
export class AgentReadiness {
  /** Resolves when it begins. Where it ends before, nothing resolves it. */
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

  /** Lets flags be evaluated from now on. Does nothing once the agent was closed. */
  begin(): void {
    if (this.#hasEnded) return;
    this.#isReady = true;
    this.#resolve();
  }

  /** Lets no flag be evaluated from now on. */
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
