/** A process of a benchmark that others send messages to and wait for messages from. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

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

  /** @param file beside this one */
  static start<Command extends object, Message extends object>(
    file: string,
    args: readonly string[],
  ): Participant<Command, Message> {
    const path = fileURLToPath(new URL(file, import.meta.url));
    return new Participant(fork(path, args, { execArgv: [...process.execArgv, '--expose-gc'] }));
  }

  private get over(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Waits for the next message that has the member `key`; drops those before it. */
  async next<Key extends string>(key: Key): Promise<Extract<Message, Record<Key, unknown>>> {
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
