/** All claims about one file at rest, from its history and the bytes of all replicas of all its chunks. */
import { accountAppends } from './accounting.ts';
import type { ChunkReplicas, FileHistory } from './history.ts';
import { circleOf } from './write-order.ts';

/** What is wrong, one line each; empty if nothing is. */
export function checkFile(file: FileHistory): readonly string[] {
  const { mode, operations, chunks } = file;
  const wrong: string[] = [];
  for (const chunk of chunks) {
    if (mode !== 'gfs') wrong.push(...differences(chunk));
    const [first] = chunk.replicas;
    const circle = first === undefined ? undefined : circleOf(first, chunk.start, operations);
    if (circle !== undefined) wrong.push(`chunk at ${chunk.start}: writes in a circle: ${circle.join(' → ')}`);
  }
  if (operations.some(({ kind }) => kind === 'append')) wrong.push(...accountAppends(file));
  return wrong;
}

/** At rest, and but for mode gfs, replicas are the same to the byte. */
function differences({ start, replicas }: ChunkReplicas): string[] {
  const [first, ...others] = replicas;
  if (first === undefined) return [];
  return others.flatMap((other, n) => {
    if (other.length !== first.length) return [`replica ${n + 1} has ${other.length} bytes, replica 0 ${first.length}`];
    let at = 0;
    while (at < first.length && first[at] === other[at]) at += 1;
    return at === first.length ? [] : [`replica ${n + 1} differs from replica 0 at byte ${start + at}`];
  });
}
