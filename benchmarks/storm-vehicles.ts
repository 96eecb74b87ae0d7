/**
 * The vehicles' process of the storm benchmark: `storm-vehicles.ts HOST PORT TOKENS_FILE`. Each vehicle is a bare TCP
 * connection that says what an agent says, and comes back when it is told to, so that the vehicles are not what is
 * measured. Bytes are read into one buffer, and frames are told apart by their heads.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { CHANGES_SUBSCRIPTION, SYNC_QUERY } from '../agent/link/operations.ts';
import { AGENT_NAME } from '../core/wire/agent-name.ts';
import { wallClock } from './fan-out-messages.ts';
import type { VehicleCommand, VehicleMessage } from './storm-messages.ts';

const [host = '', port = '', tokensFile = ''] = process.argv.slice(2);

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
  frame({ id: 'changes', type: 'subscribe', payload: { query: CHANGES_SUBSCRIPTION, variables } }),
  frame({ id: 'request-1', type: 'subscribe', payload: { query: SYNC_QUERY, variables } }),
]);
const closeCode = (content: string) => Buffer.from(content, 'latin1').readUInt16BE(0);
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);

/** Connections that are opened before what has come is read: vehicles do not wait for each other. */
const AT_ONCE = 100;

const figures = { synced: 0, refused: 0, lost: 0, messageBytes: 0 };
let expected = 0;
let told: () => void = () => undefined;
const say = (message: VehicleMessage): unknown => process.send?.(message);

class Vehicle {
  #socket!: Socket;
  #isUpgraded = false;
  /** A frame's beginning that ended with the piece before. */
  #left: Buffer | null = null;
  /** Bytes of a frame that are still to come, and are of no interest. */
  #skip = 0;

  constructor(private readonly token: string) {
    this.#connect();
  }

  #connect(): void {
    this.#isUpgraded = false;
    this.#left = null;
    this.#skip = 0;
    this.#socket = connect({
      host,
      port: Number(port),
      onread: {
        buffer,
        callback: (length) => {
          this.#read(buffer.subarray(0, length));
          return true;
        },
      },
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      if (!this.#isUpgraded) return;
      figures.lost += 1;
      setTimeout(() => this.#connect(), 1_000 * (1 + Math.random()));
    });
    this.#socket.on('connect', () => this.#socket.write(UPGRADE));
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
    // A head, and as much of a message as tells what it is.
    while (bytes.length >= 2) {
      const short = (bytes[1] ?? 0) & 127;
      const head = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (bytes.length < Math.min(head + short, 48)) break;
      const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
      this.#frame(bytes[0] ?? 0, bytes.toString('latin1', head, Math.min(head + length, 48)), length);
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
    const seconds = Number(/Retry-After: (\d+)/i.exec(answer)?.[1] ?? 1);
    this.#socket.destroy();
    setTimeout(() => this.#connect(), (seconds + Math.random()) * 1_000);
  }

  #frame(first: number, beginning: string, length: number): void {
    if (first === 0x89) return void this.#socket.write(PONG);
    if (beginning.startsWith('{"type":"connection_ack"')) return void this.#socket.write(QUESTIONS);
    if (beginning.startsWith('{"id":"changes","type":"next"')) {
      figures.messageBytes = length;
      expected -= 1;
      if (expected === 0) say({ lastAt: wallClock(), messageBytes: length });
    } else if (beginning.startsWith('{"id":"request-1","type":"next"')) {
      figures.synced += 1;
      told();
    } else if (first === 0x88) process.stderr.write(`A vehicle was closed with ${closeCode(beginning)}\n`);
    else if (!beginning.startsWith('{"id":"request-1","type":"complete"'))
      throw new Error(`Not expected: ${beginning}`);
  }
}

let connected = 0;
process.on('message', (command: VehicleCommand) => {
  if ('expect' in command) {
    expected = command.expect;
    say({ ready: true });
    return;
  }
  const from = wallClock();
  const wanted = connected + command.connect;
  const before = { ...figures };
  told = () => {
    if (figures.synced < wanted) return;
    told = () => undefined;
    say({
      allSyncedAt: wallClock(),
      seconds: (wallClock() - from) / 1_000,
      refused: figures.refused - before.refused,
      lost: figures.lost - before.lost,
    });
  };
  const connectSome = () => {
    for (let some = 0; some < AT_ONCE && connected < wanted; some += 1) {
      new Vehicle(tokens[connected] ?? '');
      connected += 1;
    }
    if (connected < wanted) setImmediate(connectSome);
  };
  connectSome();
});
say({ ready: true });
