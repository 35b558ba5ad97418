/** Shapes in which a group can fall apart; the partial ones after Jensen et al. (quorum-loss, constrained, chained). */
import type { NodeId } from '../../../core/base/brand.ts';
import type { PartitionShape } from './plan.ts';

type Link = readonly [from: NodeId, to: NodeId];

/** @param target who it is about  @param pick 0 … 1: who else */
export function linksToCut(
  shape: PartitionShape,
  target: NodeId,
  nodes: readonly NodeId[],
  pick: number,
): readonly Link[] {
  const others = nodes.filter((node) => node !== target);
  const other = others[Math.floor(pick * others.length)] ?? target;
  const all = nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to): Link => [from, to]));
  switch (shape) {
    case 'isolate':
      return all.filter(([from, to]) => from === target || to === target);
    case 'split': {
      const side = new Set(nodes.filter((node, i) => node === target || ((pick * 2 ** 20) & (1 << i)) !== 0));
      return all.filter(([from, to]) => side.has(from) !== side.has(to));
    }
    // quorum-loss: everybody hears one node only, and that is not the leader
    case 'hub':
      return all.filter(([from, to]) => from !== other && to !== other);
    case 'chain':
      return all.filter(([from, to]) => Math.abs(nodes.indexOf(from) - nodes.indexOf(to)) !== 1);
    // the leader hears nobody; the rest hear one node only, whose log may be old
    case 'constrained':
      return all.filter(([from, to]) => from === target || to === target || (from !== other && to !== other));
    case 'deaf':
      return all.filter(([, to]) => to === target);
    case 'mute':
      return all.filter(([from]) => from === target);
    case 'pair':
      return all.filter(([from, to]) => (from === target && to === other) || (from === other && to === target));
    case 'link':
      return all.filter(([from, to]) => from === target && to === other);
  }
}
