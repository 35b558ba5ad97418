/**
 * The order of writes at positions, seen from what is there in the end: who covers a byte came after all others that wrote it, and who ended before
 * another began came before it. If that goes round in a circle, no one order can have been carried out.
 */
import { type Acknowledged, isAcknowledged, type Operation } from './history.ts';

/** A circle, by the ids along it; undefined if there is none. Bytes that match no write are of something else, and say nothing. */
export function circleOf(
  content: Uint8Array,
  start: number,
  operations: readonly Operation[],
): readonly string[] | undefined {
  const writes = operations.filter(({ kind }) => kind === 'write').filter(isAcknowledged);
  if (writes.length < 2) return undefined;
  const after = new Map(writes.map((one) => [one.id, new Set<string>()]));
  for (const one of writes) {
    for (const other of writes) {
      if (one !== other && one.endedAt !== undefined && one.endedAt < other.begunAt && touch(one, other))
        after.get(one.id)!.add(other.id);
    }
  }
  for (let at = 0; at < content.length; at++) {
    const covering = writes.filter(
      ({ position, bytes }) => position <= start + at && start + at < position + bytes.length,
    );
    if (covering.length < 2) continue;
    const winners = covering.filter(({ position, bytes }) => bytes[start + at - position] === content[at]);
    if (winners.length !== 1) continue;
    for (const loser of covering) if (loser !== winners[0]) after.get(loser.id)!.add(winners[0]!.id);
  }
  return findCircle(after);
}

function touch(a: Acknowledged, b: Acknowledged): boolean {
  return a.position < b.position + b.bytes.length && b.position < a.position + a.bytes.length;
}

function findCircle(after: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (id: string): readonly string[] | undefined => {
    if (path.includes(id)) return path.slice(path.indexOf(id));
    if (done.has(id)) return undefined;
    path.push(id);
    for (const next of after.get(id) ?? []) {
      const circle = visit(next);
      if (circle !== undefined) return circle;
    }
    path.pop();
    done.add(id);
    return undefined;
  };
  for (const id of after.keys()) {
    const circle = visit(id);
    if (circle !== undefined) return circle;
  }
  return undefined;
}
