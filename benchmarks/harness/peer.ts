/** A peer in a process of its own, which prints `LISTENING <port>`. */
import { Child } from '../../commands/demo/child-process.ts';

/** Starts and stops a peer. */
export class Peer {
  private constructor(
    private readonly child: Child,
    readonly port: number,
  ) {}

  /** Starts `benchmarks/peers/<name>.ts`; resolves when it listens. */
  static async start(name: string, ...args: readonly string[]): Promise<Peer> {
    const child = new Child([`benchmarks/peers/${name}.ts`, ...args], { NODE_ENV: 'production' });
    try {
      const [, port] = await child.printed(/LISTENING (\d+)/);
      return new Peer(child, Number(port));
    } catch (error) {
      await child.stop();
      throw error;
    }
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  get pid(): number {
    return this.child.pid;
  }

  stop(): Promise<void> {
    return this.child.stop();
  }
}
