/** A flags subgraph with the real schema, guards and error forms over a script instead of a database. */
import { EventEmitter, on } from 'node:events';
import { FleetFlagError } from '../../core/errors.ts';
import { ENUMS } from '../../subgraphs/shared/subgraph/graphql-enums.ts';
import { createSubgraph, type Subgraph, type SubgraphContext } from '../../subgraphs/shared/subgraph/subgraph.ts';
import { silent } from '../../subgraphs/shared/testing/asking.ts';

export interface ScriptedChange {
  readonly revision: number;
  /** Makes the field `flag.description` of the event fail. */
  readonly faulty?: boolean;
  /** Makes the event one that must not wait for others. */
  readonly urgent?: boolean;
}

/** The message of an internal fault, which no client may ever get. */
export const FAULT = 'connect ECONNREFUSED 10.0.0.7:5432';

/** The changes that subscriptions follow, each from the moment of its creation. */
export class ScriptedChanges {
  readonly #emitter = new EventEmitter().setMaxListeners(0);
  /** The number of open subscriptions. */
  open = 0;

  emit(change: ScriptedChange): void {
    this.#emitter.emit('change', change);
  }

  follow(): AsyncIterableIterator<unknown> {
    const events = on(this.#emitter, 'change') as unknown as Required<AsyncIterator<[ScriptedChange]>>;
    this.open++;
    let over = false;
    return {
      async next() {
        const result = await events.next();
        if (result.done === true) return { done: true, value: undefined };
        const [{ revision, faulty = false, urgent = false }] = result.value;
        const flag = { ...FLAG, revision, faulty };
        return {
          done: false,
          value: {
            environment: 'staging',
            revision,
            previousRevision: revision - 1,
            flag,
            statement: 'signed',
            proof: 'signed',
            urgent,
          },
        };
      },
      return: async () => {
        if (!over) this.open--;
        over = true;
        await events.return();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
}

interface ScriptedFlag {
  readonly key: string;
  readonly faulty?: boolean;
}

const FLAG = {
  id: '0198f0aa-0000-7000-8000-000000000001',
  key: 'eco',
  name: 'Eco',
  enabled: true,
  environment: 'staging',
  safetyLevel: 'ASIL-D',
};

/** Finds a flag: "eco" exists, "stale" is refused with CONFLICT, "broken" fails; any other key gives null. */
function findFlag(key: string): ScriptedFlag | null {
  if (key === 'stale') throw new FleetFlagError('CONFLICT', 'Changed since.', { field: 'key', currentRevision: 7 });
  if (key === 'broken') throw new Error(FAULT);
  return key === FLAG.key ? FLAG : null;
}

/** The context of an operation, with the changes of the subgraph that runs it. */
interface ScriptedContext extends SubgraphContext {
  readonly changes: ScriptedChanges;
}

let built: Promise<Subgraph> | undefined;

/** Gives a subgraph that follows `changes`. All of a file share one schema, because making it takes most of a test. */
export async function scriptedFlags(changes: ScriptedChanges): Promise<Subgraph> {
  const subgraph = await (built ??= build());
  return { ...subgraph, context: (identity): ScriptedContext => ({ ...subgraph.context(identity), changes }) };
}

function build(): Promise<Subgraph> {
  return createSubgraph({
    name: 'flags',
    services: () => null,
    logger: silent,
    resolvers: {
      Environment: ENUMS.Environment,
      SafetyLevel: ENUMS.SafetyLevel,
      Query: {
        flag(_: unknown, { key }: { key: string }, { notes }: SubgraphContext) {
          // The answer of this key counts as the last known one.
          if (key === 'remembered') notes.remembered = true;
          return findFlag(key);
        },
      },
      Mutation: { enableFlag: (_: unknown, { key }: { key: string }) => ({ flag: findFlag(key), applied: true }) },
      Subscription: {
        flagChanges: {
          subscribe: (_: unknown, __: unknown, { changes }: ScriptedContext) => changes.follow(),
          resolve(event: { urgent: boolean }, _: unknown, { notes }: SubgraphContext) {
            if (event.urgent) notes.urgent = true;
            return event;
          },
        },
      },
      Flag: {
        __resolveReference: ({ key }: { key: string }) => findFlag(key),
        description: ({ faulty }: ScriptedFlag) => {
          if (faulty === true) throw new Error(FAULT);
          return 'Saves energy.';
        },
      },
    },
  });
}
