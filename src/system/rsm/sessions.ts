/**
 * The session table: makes a retried command take effect once and answers it with the first result. Part of the replicated
 * state: changed only by the log, kept in memory, written to the store whenever the store is flushed or frozen. (Ongaro's
 * dissertation §6.3; after TigerBeetle, expiry goes by the log's own time, never by a clock.)
 */

import { ByteWriter } from '../../core/base/bytes.ts';
import { blob, decode, encode, f64, list, struct, varint } from '../../core/base/codec.ts';
import type { OrderedStore } from '../storage/ordered-store.ts';
import type { BatchCommand } from './batch.ts';
import { hostKeyPrefix } from './state-machine.ts';

/** Results kept for one client: it must acknowledge before it runs further ahead. */
export const sessionWindowMax = 4096;
/** Bytes of them; with the last result beyond it the record is still one value of the store. */
export const sessionBytesMax = 512 * 1024;
/** What a result takes in the record beside its bytes, at most. */
const resultHeadBytes = 16;
export const sessionsMax = 100_000;
/** By the time in the log. Far longer than any client retries. */
export const sessionIdleMs = 60 * 60 * 1000;
/**
 * So many of the latest are kept however idle they seem: when leadership moves to a node whose time of day is hours ahead, the client that
 * is trying again at this moment is still known.
 */
export const sessionsKept = 10_000;

interface Session {
  ackBelow: number;
  /** Log time of the last use. */
  usedAt: number;
  /** Place in the log of the last use: a total order, so that all replicas end the same sessions. */
  usedOrder: number;
  /** Ascending by sequence is not needed: looked up by key only. */
  readonly results: Map<number, Uint8Array>;
  /** Of the results. */
  bytes: number;
}

const sessionCodec = struct({
  ackBelow: varint,
  usedAt: f64,
  usedOrder: varint,
  results: list(struct({ sequence: varint, result: blob }), sessionWindowMax + 1),
});

export type SessionVerdict =
  | { readonly kind: 'fresh' }
  | { readonly kind: 'repeated'; readonly result: Uint8Array }
  | { readonly kind: 'expired' }
  | { readonly kind: 'tooFarAhead' };

const fresh: SessionVerdict = { kind: 'fresh' };
const keyFrom = `${hostKeyPrefix}s`;
const keyTo = `${hostKeyPrefix}t`;

export class Sessions {
  /** In order of last use, so that the idle ones are in front. */
  #sessions = new Map<number, Session>();
  /** Clients whose record in the store is out of date; the value says whether the session still exists. */
  readonly #dirty = new Set<number>();

  get size(): number {
    return this.#sessions.size;
  }

  /** What is to be done with a command; `time` is the log's, `order` its place there. */
  admit(command: BatchCommand, time: number, order: number): SessionVerdict {
    let session = this.#sessions.get(command.client);
    if (session === undefined) {
      if (command.ackBelow > 1) return { kind: 'expired' };
      session = { ackBelow: 1, usedAt: time, usedOrder: order, results: new Map(), bytes: 0 };
    } else {
      session.usedAt = time;
      session.usedOrder = order;
      this.#sessions.delete(command.client);
    }
    this.#sessions.set(command.client, session);
    this.#dirty.add(command.client);
    this.#acknowledge(session, command.ackBelow);
    if (command.sequence < session.ackBelow) return { kind: 'expired' };
    const result = session.results.get(command.sequence);
    if (result !== undefined) return { kind: 'repeated', result };
    const isFull = session.results.size >= sessionWindowMax || session.bytes >= sessionBytesMax;
    return isFull ? { kind: 'tooFarAhead' } : fresh;
  }

  has(client: number): boolean {
    return this.#sessions.has(client);
  }

  /** Makes the client known if it is not: its commands so far were answered without the log. */
  touch(command: BatchCommand, time: number, order: number): void {
    if (this.#sessions.has(command.client)) return;
    const session = {
      ackBelow: command.ackBelow,
      usedAt: time,
      usedOrder: order,
      results: new Map<number, Uint8Array>(),
      bytes: 0,
    };
    this.#sessions.set(command.client, session);
    this.#dirty.add(command.client);
  }

  /** The first result of an admitted command; the bytes are kept. */
  record(command: BatchCommand, result: Uint8Array): void {
    const session = this.#sessions.get(command.client);
    if (session === undefined) return;
    session.results.set(command.sequence, result);
    session.bytes += bytesOf(result);
  }

  #acknowledge(session: Session, ackBelow: number): void {
    if (ackBelow <= session.ackBelow) return;
    if (ackBelow - session.ackBelow > session.results.size) {
      for (const sequence of session.results.keys()) if (sequence < ackBelow) forget(session, sequence);
    } else {
      for (let sequence = session.ackBelow; sequence < ackBelow; sequence++) forget(session, sequence);
    }
    session.ackBelow = ackBelow;
  }

  /** Ends sessions that were idle too long by the log's time, or are too many; called once per batch, so it must be cheap. */
  expire(time: number): void {
    for (const [client, session] of this.#sessions) {
      const isIdle = this.#sessions.size > sessionsKept && time - session.usedAt >= sessionIdleMs;
      if (!isIdle && this.#sessions.size <= sessionsMax) return;
      this.#sessions.delete(client);
      this.#dirty.add(client);
    }
  }

  /** Writes what has changed since the last call into the store. */
  save(store: OrderedStore): void {
    for (const client of this.#dirty) {
      const session = this.#sessions.get(client);
      if (session === undefined) store.delete(sessionKey(client));
      else store.put(sessionKey(client), encodeSession(session));
    }
    this.#dirty.clear();
  }

  load(store: OrderedStore): void {
    const found: [number, Session][] = [];
    for (const [key, bytes] of store.scan(keyFrom, keyTo)) found.push([clientOf(key), decodeSession(bytes)]);
    found.sort((a, b) => a[1].usedOrder - b[1].usedOrder);
    this.#sessions = new Map(found);
    this.#dirty.clear();
  }
}

function bytesOf(result: Uint8Array): number {
  return result.length + resultHeadBytes;
}

function forget(session: Session, sequence: number): void {
  const result = session.results.get(sequence);
  if (result === undefined) return;
  session.results.delete(sequence);
  session.bytes -= bytesOf(result);
}

function encodeSession({ bytes: _, ...session }: Session): Uint8Array {
  const results = [...session.results].map(([sequence, result]) => ({ sequence, result }));
  return encode(sessionCodec, { ...session, results });
}

function decodeSession(bytes: Uint8Array): Session {
  const { results, ...rest } = decode(sessionCodec, bytes);
  const kept = results.map(({ sequence, result }) => [sequence, result.slice()] as const);
  return { ...rest, results: new Map(kept), bytes: kept.reduce((sum, [, result]) => sum + bytesOf(result), 0) };
}

function sessionKey(client: number): string {
  const writer = new ByteWriter(8);
  writer.u53(client);
  return keyFrom + String.fromCharCode(...writer.view());
}

function clientOf(key: string): number {
  let client = 0;
  for (let i = 7; i >= 0; i--) client = client * 256 + key.charCodeAt(keyFrom.length + i);
  return client;
}
