/**
 * One process of vehicles of the storm benchmark: `storm-vehicles.ts HOST PORT TOKENS_FILE FIRST_TOKEN`. Each vehicle
 * is a bare TCP connection that sends what an agent sends, and reconnects on request, so that the benchmark does not
 * measure the vehicles. Bytes are read into one buffer, and the head of a frame shows its kind.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { BACKUP_MUTATION } from '../../agent/backup/vehicle-backups.ts';
import { OPERATIONS } from '../../agent/link/operations.ts';
import { AGENT_NAME } from '../../core/wire/network/agent-name.ts';
import { wallClockMs } from '../fan-out/fan-out-messages.ts';
import type { VehicleCommand, VehicleMessage } from './storm-messages.ts';

const [host = '', port = '', tokensFile = '', firstToken = '0'] = process.argv.slice(2);

const tokens = JSON.parse(readFileSync(tokensFile, 'utf8')) as string[];
const buffer = Buffer.alloc(256 * 1024);

/** A masked text frame. A mask of zeros leaves the text as it is. */
function frame(message: object): Buffer {
  const text = Buffer.from(JSON.stringify(message));
  const head =
    text.length < 126
      ? Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0])
      : Buffer.from([0x81, 0x80 | 126, text.length >> 8, text.length & 255, 0, 0, 0, 0]);
  return Buffer.concat([head, text]);
}

const UPGRADE = `GET /graphql HTTP/1.1\r\nHost: ${host}:${port}\r\nUser-Agent: ${AGENT_NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n`;
const variables = { environment: 'PRODUCTION' };
const QUESTIONS = Buffer.concat([
  frame({ id: 'changes', type: 'subscribe', payload: { query: OPERATIONS.changes, variables } }),
  frame({ id: 'request-1', type: 'subscribe', payload: { query: OPERATIONS.sync, variables } }),
]);
/** The content of a backup of a vehicle whose measurements arrive, in bytes; only agents read it. */
const BACKUP_BYTES = 500;
const BACKUP = frame({
  id: 'backup',
  type: 'subscribe',
  payload: {
    query: BACKUP_MUTATION,
    variables: { input: { agent: 'agent.sqlite', content: Buffer.alloc(BACKUP_BYTES, 7).toString('base64') } },
  },
});
const closeCode = (content: string) => Buffer.from(content, 'latin1').readUInt16BE(0);
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);

/** The answers to backups so far. */
const backups = { stored: 0, notStored: 0 };

/** The most vehicles that connect from one address: the kernel searches long for a port where most are in use. */
const VEHICLES_OF_ADDRESS = 4_000;
/** The loopback network of this process. Ports of an address stay in use for a minute after a run before this one. */
const NETWORK = `127.${(process.pid >> 8) & 255}.${process.pid & 255}`;

/** Connections that are opened before what has come is read: vehicles do not wait for each other. */
const AT_ONCE = 100;

const figures = { synced: 0, refused: 0, reset: 0, lost: 0, messageBytes: 0 };
/** The awaited revision, the number of vehicles that have not received it, and the time when the last one did. */
let wanted = Infinity;
let behind = 0;
let heardAtMs = 0;
const vehicles: Vehicle[] = [];
let told: () => void = () => undefined;
const say = (message: VehicleMessage): unknown => process.send?.(message);

/** The bytes of a frame that are read: enough for the revision of a change. */
const BEGINNING = 160;

function tellWhenAllHave(): void {
  if (behind > 0) return;
  wanted = Infinity;
  say({ lastAtMs: heardAtMs, messageBytes: figures.messageBytes, ...backups });
}

class Vehicle {
  /** The newest revision that it has received. */
  revision = 0;
  #socket!: Socket;
  #isUpgraded = false;
  #isRefused = false;
  /** A frame's beginning that ended with the piece before. */
  #left: Buffer | null = null;
  /** Bytes of a frame that are still to come, and are of no interest. */
  #skip = 0;

  constructor(
    private readonly token: string,
    private readonly localAddress: string,
  ) {
    this.#connect();
  }

  #connect(): void {
    this.#isUpgraded = this.#isRefused = false;
    this.#left = null;
    this.#skip = 0;
    this.#socket = connect({
      host,
      port: Number(port),
      localAddress: this.localAddress,
      onread: {
        buffer,
        callback: (length) => {
          this.#read(buffer.subarray(0, length));
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => {
      // The event 'close' reports a connection that has ended.
      if (!('code' in error && error.code === 'ECONNRESET'))
        process.stderr.write(`A vehicle cannot connect: ${error.message}\n`);
    });
    this.#socket.on('close', () => {
      if (this.#isRefused) return;
      if (this.#isUpgraded) figures.lost += 1;
      // The kernel resets connections beyond the queue of those that wait to be accepted.
      else figures.reset += 1;
      setTimeout(() => this.#connect(), 1_000 * (1 + Math.random()));
    });
    this.#socket.on('connect', () => this.#socket.write(UPGRADE));
  }

  /** Sends its backup. */
  backUp(): void {
    this.#socket.write(BACKUP);
  }

  #read(piece: Buffer): void {
    if (!this.#isUpgraded) return this.#upgraded(piece);
    let bytes = piece;
    if (this.#skip > 0) {
      const skipped = Math.min(this.#skip, bytes.length);
      this.#skip -= skipped;
      bytes = bytes.subarray(skipped);
    }
    if (this.#left !== null) bytes = Buffer.concat([this.#left, bytes]);
    this.#left = null;
    // The head, and as much of the message as shows its kind.
    while (bytes.length >= 2) {
      const short = (bytes[1] ?? 0) & 127;
      const head = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (bytes.length < head) break;
      const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
      if (bytes.length < Math.min(head + length, BEGINNING)) break;
      this.#frame(bytes[0] ?? 0, bytes.toString('latin1', head, Math.min(head + length, BEGINNING)), length);
      this.#skip = Math.max(0, head + length - bytes.length);
      bytes = bytes.subarray(Math.min(bytes.length, head + length));
    }
    if (bytes.length > 0) this.#left = Buffer.from(bytes);
  }

  #upgraded(piece: Buffer): void {
    const answer = piece.toString('latin1');
    if (answer.startsWith('HTTP/1.1 101')) {
      this.#isUpgraded = true;
      this.#socket.write(frame({ type: 'connection_init', payload: { authorization: `Bearer ${this.token}` } }));
      return;
    }
    figures.refused += 1;
    this.#isRefused = true;
    const seconds = Number(/Retry-After: (\d+)/i.exec(answer)?.[1] ?? 1);
    this.#socket.destroy();
    setTimeout(() => this.#connect(), (seconds + Math.random()) * 1_000);
  }

  #frame(first: number, beginning: string, length: number): void {
    if (first === 0x89) return void this.#socket.write(PONG);
    if (beginning.startsWith('{"type":"connection_ack"')) return void this.#socket.write(QUESTIONS);
    if (beginning.startsWith('{"id":"changes","type":"next"')) {
      figures.messageBytes = length;
      heardAtMs = wallClockMs();
      const former = this.revision;
      this.revision = Number(/"revision":(\d+)/.exec(beginning)?.[1]);
      if (former >= wanted || this.revision < wanted) return;
      behind -= 1;
      tellWhenAllHave();
    } else if (beginning.startsWith('{"id":"request-1","type":"next"')) {
      figures.synced += 1;
      told();
    } else if (beginning.startsWith('{"id":"backup","type":')) {
      if (beginning.startsWith('"complete"', 22)) return;
      if (beginning.includes('"backUpVehicleState":true')) backups.stored += 1;
      else backups.notStored += 1;
    } else if (first === 0x88) process.stderr.write(`A vehicle was closed with ${closeCode(beginning)}\n`);
    else if (!beginning.startsWith('{"id":"request-1","type":"complete"'))
      throw new Error(`Not expected: ${beginning}`);
  }
}

let connected = 0;
process.on('message', (command: VehicleCommand) => {
  if ('until' in command) {
    wanted = command.until;
    behind = vehicles.filter(({ revision }) => revision < wanted).length;
    return tellWhenAllHave();
  }
  if ('backUpWithinMs' in command) {
    for (const vehicle of vehicles) setTimeout(() => vehicle.backUp(), command.backUpWithinMs * Math.random());
    return;
  }
  const from = wallClockMs();
  const due = connected + command.connect;
  const before = { ...figures };
  told = () => {
    if (figures.synced < due) return;
    told = () => undefined;
    say({
      allSyncedAtMs: wallClockMs(),
      seconds: (wallClockMs() - from) / 1_000,
      refused: figures.refused - before.refused,
      reset: figures.reset - before.reset,
      lost: figures.lost - before.lost,
    });
  };
  const connectSome = () => {
    for (let some = 0; some < AT_ONCE && connected < due; some += 1) {
      const address = `${NETWORK}.${1 + Math.floor(connected / VEHICLES_OF_ADDRESS)}`;
      vehicles.push(new Vehicle(tokens[Number(firstToken) + connected] ?? '', address));
      connected += 1;
    }
    if (connected < due) setImmediate(connectSome);
  };
  connectSome();
});
say({ ready: true });
