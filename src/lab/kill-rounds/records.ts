/** Records that say who they are, and what became of them: what is lost, doubled or torn in a file that writers appended them to. */
import { outOfOrder } from '../regions/append-order.ts';

export interface Sent {
  readonly id: string;
  readonly bytes: Uint8Array;
  /** Where it was answered to be; undefined while nothing is known. */
  offset: number | undefined;
  /** By one clock, for all writers; `endedAt`: of the answer. */
  readonly begunAt: number;
  endedAt: number | undefined;
}

export interface Findings {
  readonly acknowledged: number;
  /** Sent, never acknowledged: there once or not at all. */
  readonly unknown: number;
  readonly lost: readonly string[];
  readonly lostBytes: number;
  /** Begun when something behind them had been acknowledged: so may come what takes the place, in mode `async`, of what is lost. */
  readonly disordered: readonly string[];
  readonly doubled: readonly string[];
  /** Stretches of the file that are of no record, nor zeros. */
  readonly torn: readonly number[];
}

const newline = 0x0a;

export function recordOf(writer: number, sequence: number, begunAt: number): Sent {
  const id = `${writer}:${sequence}`;
  const bytes = new TextEncoder().encode(`${id}:${'x'.repeat((sequence * 37) % 700)}\n`);
  return { id, bytes, offset: undefined, begunAt, endedAt: undefined };
}

export function examine(content: Uint8Array, sent: ReadonlyMap<string, Sent>): Findings {
  const doubled: string[] = [];
  const torn: number[] = [];
  const found = new Set<string>();
  for (let at = 0; at < content.length; ) {
    if (content[at] === 0) {
      at += 1;
      continue;
    }
    const end = content.indexOf(newline, at);
    const record = end < 0 ? undefined : sent.get(idIn(content.subarray(at, end)));
    if (record === undefined || !isAt(content, at, record.bytes)) {
      torn.push(at);
      at = end < 0 ? content.length : end + 1;
      continue;
    }
    if (found.has(record.id)) doubled.push(record.id);
    found.add(record.id);
    at += record.bytes.length;
  }
  const acknowledged = [...sent.values()].filter(({ offset }) => offset !== undefined);
  const lost = acknowledged.filter(({ offset, bytes }) => !isAt(content, offset!, bytes));
  return {
    acknowledged: acknowledged.length,
    unknown: sent.size - acknowledged.length,
    lost: lost.map(({ id }) => id),
    lostBytes: lost.reduce((sum, { bytes }) => sum + bytes.length, 0),
    disordered: outOfOrder(acknowledged.map((one) => ({ ...one, position: one.offset! }))).map(({ one }) => one.id),
    doubled,
    torn,
  };
}

function idIn(line: Uint8Array): string {
  return new TextDecoder().decode(line).split(':', 2).join(':');
}

function isAt(content: Uint8Array, at: number, bytes: Uint8Array): boolean {
  if (at + bytes.length > content.length) return false;
  for (let i = 0; i < bytes.length; i++) if (content[at + i] !== bytes[i]) return false;
  return true;
}
