/** A disk in memory that takes time, and on which the power can go at any instant. */
import { dirname } from 'node:path';
import type { FileSystem } from '../../agent/store/files/durable-file.ts';
import type { VirtualWorld } from './virtual-time.ts';

interface Content {
  bytes: Uint8Array;
}
type Names = Map<string, Content>;

function missing(path: string): Error {
  return Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' });
}

export class CrashingDisk implements FileSystem {
  /** The names as programs see them, and as they would be after a power cut. */
  #seen: Names = new Map();
  #durable: Names = new Map();
  /** Changes of names that no flush has made durable. */
  #pending: ((names: Names) => void)[] = [];
  /** Ends what is under way as the power goes: in part, or not at all. */
  #underWay = new Set<() => void>();
  #life = 0;

  constructor(private readonly world: VirtualWorld) {}

  /** Cuts the power. What is under way may be done in part; names may be those of any moment since the last flush. */
  crash(): void {
    this.#life += 1;
    for (const cut of this.#underWay) cut();
    this.#underWay.clear();
    const kept = this.world.random.whole(0, this.#pending.length);
    for (const change of this.#pending.slice(0, kept)) change(this.#durable);
    this.#pending = [];
    this.#seen = new Map(this.#durable);
  }

  /** Does a piece of work after a while; rejects where the power goes before. */
  async #work<Result>(done: () => Result, inPart: () => void = () => undefined): Promise<Result> {
    const life = this.#life;
    this.#underWay.add(inPart);
    await this.world.wait(this.world.random.whole(1, 12));
    if (life !== this.#life) throw new Error('The power is off.');
    this.#underWay.delete(inPart);
    return done();
  }

  #rename(change: (names: Names) => void): void {
    change(this.#seen);
    this.#pending.push(change);
  }

  read(path: string): Promise<Uint8Array> {
    return this.#work(() => {
      const content = this.#seen.get(path);
      if (content === undefined) throw missing(path);
      return content.bytes.slice();
    });
  }

  write(path: string, bytes: Uint8Array): Promise<void> {
    const content: Content = { bytes: bytes.slice() };
    const named = (names: Names) => void names.set(path, content);
    return this.#work(
      () => this.#rename(named),
      () => {
        content.bytes = content.bytes.slice(0, this.world.random.whole(0, content.bytes.length));
        this.#rename(named);
      },
    );
  }

  append(path: string, bytes: Uint8Array): Promise<void> {
    const grow = (length: number) => {
      const present = this.#seen.get(path);
      if (present === undefined) this.#rename((names) => void names.set(path, { bytes: bytes.slice(0, length) }));
      else present.bytes = Buffer.concat([present.bytes, bytes.slice(0, length)]);
    };
    return this.#work(
      () => grow(bytes.length),
      () => grow(this.world.random.whole(0, bytes.length)),
    );
  }

  rename(from: string, to: string): Promise<void> {
    return this.#work(() => {
      const content = this.#seen.get(from);
      if (content === undefined) throw missing(from);
      this.#rename((names) => {
        const moved = names.get(from);
        if (moved === undefined) return;
        names.set(to, moved);
        names.delete(from);
      });
    });
  }

  flushFolder(path: string): Promise<void> {
    return this.#work(() => {
      if (dirname(path) === '') throw missing(path);
      this.#pending = [];
      this.#durable = new Map(this.#seen);
    });
  }

  async createFolder(): Promise<void> {}
}
