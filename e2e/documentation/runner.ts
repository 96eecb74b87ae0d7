// cspell:words werror wextra
/** Runs the blocks of one page as a reader would: one after the other, in one folder, at one control plane. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Kind, OperationTypeNode, parse, print, type DocumentNode, type OperationDefinitionNode } from 'graphql';
import { madeOrRemoved } from '../../core/testing/made-or-removed.ts';
import type { DocumentationBlock } from '../../tests/testing/documentation-blocks.ts';
import { Api, Listener } from '../harness/api.ts';
import { ADMIN, type Deployment } from '../harness/deployment.ts';
import { ROOT, eventually } from '../harness/process.ts';
import { CAUSES, PEOPLE, tokenOfVehicle, type PageCaller, type PageStage } from './stages.ts';
import { freePort } from '../../core/testing/free-port.ts';

const run = promisify(execFile);

/** The day on which the pages' times were written: they are moved by what has passed since, so that they stay ahead. */
const WRITTEN_ON = Date.parse('2026-11-28T00:00:00Z');

/** Packages of the repository that the pages' programs import. */
const IMPORTED = ['@openfeature'];

/** A shell function that runs npm's scripts from the repository, for a shell in another folder. */
const NPM = `npm() {
  if [ "$1" != run ]; then command npm "$@"; return; fi
  shift
  if [ "$1" = --silent ] || [ "$1" = -s ]; then shift; fi
  local script="$1"
  shift
  if [ "\${1:-}" = -- ]; then shift; fi
  case "$script" in
    agent) set -- agent/command/main.ts "$@" ;;
    *) set -- "commands/$script.ts" "$@" ;;
  esac
  node --import "${ROOT}node_modules/tsx/dist/esm/index.mjs" "${ROOT}$1" "\${@:2}"
}
`;

/** A bash that runs one block after the other, so that variables, functions and background processes stay. */
class Shell {
  readonly #process: ChildProcess;
  #output = '';
  #blocks = 0;

  constructor(
    private readonly folder: string,
    environment: Readonly<Record<string, string>>,
  ) {
    const { PATH = '', HOME = '' } = process.env;
    this.#process = spawn('bash', [], {
      cwd: folder,
      env: { PATH, HOME, LOG_LEVEL: 'warn', ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
      // In a process group of its own, which ends as a whole.
      detached: true,
    });
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
        this.#process.emit('printed');
      });
    this.#process.on('close', () => this.#process.emit('printed'));
    // The shell outlives what it has started in the background, and waits for its end.
    this.#process.stdin?.write('trap : TERM\n');
  }

  /** Runs a text; gives what it printed. Rejects when a command of it fails. */
  async run(text: string): Promise<string> {
    const number = ++this.#blocks;
    const file = join(this.folder, `.block-${number}.sh`);
    await writeFile(file, text);
    const from = this.#output.length;
    const mark = `=== block ${number} has ended`;
    this.#process.stdin?.write(`set -eo pipefail\n. '${file}' < /dev/null\nset +e\necho; echo '${mark}'\n`);
    const deadline = AbortSignal.timeout(120_000);
    for (;;) {
      const printed = this.#output.slice(from);
      const end = printed.indexOf(mark);
      if (end >= 0) return printed.slice(0, end);
      if (this.#process.exitCode !== null)
        throw new Error(`The shell ended (${this.#process.exitCode}):\n${text}\n${printed}`);
      await once(this.#process, 'printed', { signal: deadline }).catch(() => {
        throw new Error(`The block does not end:\n${text}\n${printed}`);
      });
    }
  }

  async close(): Promise<void> {
    if (this.#process.pid === undefined || this.#process.exitCode !== null) return;
    const ended = once(this.#process, 'close');
    process.kill(-this.#process.pid, 'SIGTERM');
    this.#process.stdin?.end('\nwait; wait; exit 0\n');
    await ended;
  }
}

/** The page of one reader. */
export class PageRun {
  readonly #apis = new Map<PageCaller, Promise<Api>>();
  #shell: Shell | undefined;

  private constructor(
    private readonly deployment: Deployment,
    private readonly stage: PageStage,
    private readonly folder: string,
    private readonly ports: { readonly agent: number; readonly tests: number },
  ) {}

  /**
   * Prepares the run of a page.
   *
   * @param agentPackage the packed agent, where the page's programs import it
   */
  static async open(deployment: Deployment, stage: PageStage, agentPackage: string | null): Promise<PageRun> {
    const ports = { agent: await freePort(), tests: await freePort() };
    const folder = await mkdtemp(join(tmpdir(), 'fleetflag-page-'));
    const page = new PageRun(deployment, stage, folder, ports);
    return madeOrRemoved(
      () => page.#prepared(agentPackage),
      () => page.close(),
    );
  }

  async #prepared(agentPackage: string | null): Promise<this> {
    await mkdir(join(this.folder, 'backups'));
    await symlink(join(ROOT, 'commands'), join(this.folder, 'commands'));
    const admin = await this.#as('admin');
    for (const person of Object.values(PEOPLE)) await signUp(admin, person);
    await this.stage.prepare?.(admin, (role) => this.#as(role));
    for (const [name, text] of Object.entries((await this.stage.files?.(admin)) ?? {})) await this.#write(name, text);
    if (agentPackage !== null) await this.#install(agentPackage);
    return this;
  }

  /** Runs a block; gives what it printed. Rejects when it fails, with that or with what the API refused. */
  async run(block: DocumentationBlock): Promise<string> {
    const text = this.#filledIn(block.text);
    switch (block.language) {
      case 'graphql':
        return this.#operations(text);
      case 'sh':
      case 'bash':
        return this.#commands(text);
      case 'js':
        return this.#program('example.mjs', text, process.execPath, []);
      case 'python':
        return this.#program('example.py', text, 'python3', []);
      case 'cpp': {
        await this.#write('example.cpp', text);
        await run('g++', ['-std=c++17', '-Wall', '-Wextra', '-Werror', '-o', 'example', 'example.cpp'], {
          cwd: this.folder,
        });
        return (await run(join(this.folder, 'example'), [], { cwd: this.folder, timeout: 30_000 })).stdout;
      }
      default:
        throw new Error(`${block.language} is run by nobody: mark the block, or add its language here.`);
    }
  }

  /** Keeps a block that is a file. */
  write(block: DocumentationBlock): Promise<void> {
    return this.#write(block.mark?.text ?? '', block.text);
  }

  async close(): Promise<void> {
    await this.#shell?.close();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 20 });
  }

  async #write(name: string, text: string): Promise<void> {
    await mkdir(dirname(join(this.folder, name)), { recursive: true });
    await writeFile(join(this.folder, name), text);
  }

  /** Installs the agent's package as a vehicle's program does; its other packages are those of the repository. */
  async #install(agentPackage: string): Promise<void> {
    await this.#write('package.json', '{"private": true, "type": "module"}');
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', agentPackage], { cwd: this.folder });
    for (const name of IMPORTED)
      await symlink(join(ROOT, 'node_modules', name), join(this.folder, 'node_modules', name));
  }

  /** Puts this control plane, its password and its time in place of those of the page. */
  #filledIn(text: string): string {
    const { host } = new URL(this.deployment.url);
    const days = Math.floor((Date.now() - WRITTEN_ON) / 86_400_000);
    return text
      .replaceAll('localhost:4000', host)
      .replaceAll('127.0.0.1:7788', `127.0.0.1:${this.ports.agent}`)
      .replaceAll('127.0.0.1:7799', `127.0.0.1:${this.ports.tests}`)
      .replaceAll(' /backups/', ` ${this.folder}/backups/`)
      .replaceAll('THE PASSWORD', ADMIN.password)
      .replaceAll(/20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, (time) =>
        new Date(Date.parse(time) + days * 86_400_000).toISOString().replace('.000Z', 'Z'),
      );
  }

  #as(role: PageCaller): Promise<Api> {
    const known = this.#apis.get(role);
    if (known !== undefined) return known;
    const made =
      role === 'admin'
        ? Api.admin(this.deployment)
        : role === 'vehicle'
          ? this.#as('admin').then(async (admin) => new Api(this.deployment, await tokenOfVehicle(admin)))
          : Api.signedIn(this.deployment, PEOPLE[role]);
    this.#apis.set(role, made);
    return made;
  }

  async #operations(text: string): Promise<string> {
    const variables = (await this.stage.variables?.(await this.#as('admin'))) ?? {};
    const document = parse(text.replaceAll('"…"', JSON.stringify(variables['…'] ?? '…')));
    for (const operation of document.definitions)
      if (operation.kind === Kind.OPERATION_DEFINITION) await this.#operation(document, operation, variables);
    return '';
  }

  async #operation(
    document: DocumentNode,
    operation: OperationDefinitionNode,
    all: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    const [first] = operation.selectionSet.selections;
    const field = first?.kind === Kind.FIELD ? first.name.value : '';
    const names = operation.variableDefinitions?.map(({ variable }) => variable.name.value) ?? [];
    const missing = names.filter((name) => all[name] === undefined);
    if (missing.length > 0) throw new Error(`The page's stage gives no value for ${missing.join(', ')}.`);
    const variables = Object.fromEntries(names.map((name) => [name, all[name]]));
    const fragments = document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION);
    const query = [operation, ...fragments].map(print).join('\n');
    const api = await this.#as(this.stage.by?.[field] ?? 'admin');
    if (operation.operation === OperationTypeNode.SUBSCRIPTION) return this.#subscription(api, field, query, variables);
    await api.ok(query, variables);
  }

  async #subscription(api: Api, field: string, query: string, variables: Record<string, unknown>): Promise<void> {
    const cause = CAUSES[field];
    if (cause === undefined) throw new Error(`Nothing is known to cause an event of ${field}.`);
    const admin = await this.#as('admin');
    const socket = api.socket();
    const listener = new Listener(socket, query, variables);
    try {
      let round = 0;
      const event = await eventually(async () => {
        if (listener.ended) throw new Error(`${field} has ended: ${JSON.stringify(listener.error)}`);
        if (listener.events.length === 0) await cause(admin, round++);
        return listener.events[0] ?? null;
      }, `an event of ${field}`);
      if (event.errors !== undefined) throw new Error(JSON.stringify(event.errors));
    } finally {
      listener.stop();
      await socket.dispose();
    }
  }

  async #commands(text: string): Promise<string> {
    if (this.#shell === undefined) {
      this.#shell = new Shell(this.folder, this.deployment.environment);
      const given = (await this.stage.shell?.(await this.#as('admin'))) ?? {};
      await this.#shell.run(
        NPM +
          Object.entries(given)
            .map(([name, value]) => `${name}='${value}'\n`)
            .join(''),
      );
    }
    // A reader waits until an agent is there before the next command; lines that begin with curl ask it.
    const waiting = text.replace(
      /^(.*--listen (\S+).*) &$/gm,
      (_, command: string, address: string) =>
        `{ ${command} > agent.log 2>&1 & }\nuntil curl -sf http://${address}/v1/status | grep -Eq '"connected":true|"localFlags":[{]' && ! curl -sf http://${address}/v1/status | grep -q '"flags":0,'; do sleep 0.1; done`,
    );
    const printed = await this.#shell.run(waiting);
    if (printed.includes('"errors":[')) throw new Error(`The API refused something:\n${text}\n${printed}`);
    return printed;
  }

  async #program(name: string, text: string, command: string, args: readonly string[]): Promise<string> {
    await this.#write(name, text);
    return (await run(command, [...args, name], { cwd: this.folder, timeout: 60_000 })).stdout;
  }
}

/** Makes an account, or makes it active again. */
async function signUp(admin: Api, person: (typeof PEOPLE)[keyof typeof PEOPLE]): Promise<void> {
  const { users } = await admin.ok<{ users: { nodes: { id: string; email: string; isActive: boolean }[] } }>(
    '{ users(first: 100) { nodes { id email isActive } } }',
  );
  const { email, name, role, password } = person;
  const known = users.nodes.find((user) => user.email === email);
  if (known === undefined)
    await admin.ok('mutation ($input: CreateUserInput!) { createUser(input: $input) { id } }', {
      input: { email, name, role, password },
    });
  else if (!known.isActive)
    await admin.ok('mutation ($id: ID!) { updateUser(id: $id, input: { isActive: true }) { id } }', {
      id: known.id,
    });
}
