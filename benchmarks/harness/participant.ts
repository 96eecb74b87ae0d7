/** A process of a benchmark that others send messages to and wait for messages from. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { withTimeout } from '../../core/async/timeout.ts';

/**
 * The longest that a benchmark waits for a message: several times as long as the slowest step takes on a busy machine.
 */
const MESSAGE_TIMEOUT_MS = 300_000;

/** A child process of a benchmark. */
export class Participant<Command extends object, Message extends object> {
  private readonly messages: Message[] = [];
  private wake: (() => void) | undefined;

  private constructor(private readonly child: ChildProcess) {
    child.on('message', (message: Message) => {
      this.messages.push(message);
      this.wake?.();
    });
    child.on('exit', () => this.wake?.());
  }

  /** @param file the process's program, an address of the `file:` scheme */
  static start<Command extends object, Message extends object>(
    file: URL,
    args: readonly string[],
  ): Participant<Command, Message> {
    return new Participant(fork(fileURLToPath(file), args, { execArgv: [...process.execArgv, '--expose-gc'] }));
  }

  private get over(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /**
   * Waits for the next message that has the member `key`; drops those before it.
   *
   * @throws TimeoutError after five minutes, so that a benchmark that waits for what has been lost ends and says so
   */
  next<Key extends string>(key: Key): Promise<Extract<Message, Record<Key, unknown>>> {
    const late = `No message with ${key} has come from a process of the benchmark.`;
    return withTimeout(MESSAGE_TIMEOUT_MS, late, () => this.#next(key));
  }

  async #next<Key extends string>(key: Key): Promise<Extract<Message, Record<Key, unknown>>> {
    for (;;) {
      const message = this.messages.shift();
      if (message !== undefined && key in message) return message as Extract<Message, Record<Key, unknown>>;
      if (message !== undefined) continue;
      if (this.over) throw new Error('A process of the benchmark has ended too early.');
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  tell(command: Command): void {
    this.child.send(command);
  }

  async stop(): Promise<void> {
    if (this.over) return;
    this.child.kill('SIGKILL');
    await once(this.child, 'exit');
  }
}
