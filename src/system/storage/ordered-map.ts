/**
 * An ordered map in memory: a B+tree over byte-string keys. `clone` is O(1): both trees share their nodes from then on, and each
 * copies a node when it first changes it; so a clone is a frozen view at the price of what changes meanwhile.
 */
import { assert } from '../../core/base/assert.ts';
import { KeyRun } from './key-run.ts';
import type { Key } from './ordered-store.ts';

/** Entries of a leaf, children of a branch. Small enough that an insertion into the arrays costs little. */
const nodeMax = 64;
/** A run holds one key more for a moment, before its node is split. */
const runMax = nodeMax + 1;
/** Below this a node is joined with a neighbour if the two fit into one. */
const nodeMin = nodeMax / 4;

/** Nodes belong to the tree that made them; only their owner may change them in place. */
type Owner = object;

class Leaf<V> {
  readonly owner: Owner;
  readonly run: KeyRun;
  readonly values: V[];
  constructor(owner: Owner, run: KeyRun, values: V[]) {
    this.owner = owner;
    this.run = run;
    this.values = values;
  }
}

class Branch<V> {
  readonly owner: Owner;
  /** Key `i` ≤ every key below `children[i + 1]`, and > every key below `children[i]`. */
  readonly run: KeyRun;
  readonly children: Node<V>[];
  constructor(owner: Owner, run: KeyRun, children: Node<V>[]) {
    this.owner = owner;
    this.run = run;
    this.children = children;
  }
}

function emptyLeaf<V>(owner: Owner): Leaf<V> {
  return new Leaf<V>(owner, new KeyRun(runMax, []), []);
}

type Node<V> = Leaf<V> | Branch<V>;

export class OrderedMap<V> {
  #owner: Owner = {};
  #root: Node<V> = emptyLeaf<V>(this.#owner);
  #size = 0;
  // What the recursion hands up.
  #previous: V | undefined;

  get size(): number {
    return this.#size;
  }

  get(key: Key): V | undefined {
    let node = this.#root;
    while (node instanceof Branch) node = node.children[node.run.countUpTo(key)]!;
    const at = node.run.indexOf(key);
    return at >= 0 ? node.values[at] : undefined;
  }

  /** Returns what was there before. `undefined` is no value. */
  set(key: Key, value: V): V | undefined {
    this.#previous = undefined;
    this.#root = this.#own(this.#root);
    const right = this.#insert(this.#root, key, value, undefined, undefined);
    if (right !== undefined)
      this.#root = new Branch<V>(this.#owner, new KeyRun(runMax, [right.from]), [this.#root, right.node]);
    if (this.#previous === undefined) this.#size++;
    return this.#previous;
  }

  /** Returns what was there. */
  delete(key: Key): V | undefined {
    if (this.get(key) === undefined) return undefined;
    this.#previous = undefined;
    this.#root = this.#own(this.#root);
    this.#remove(this.#root, key, undefined, undefined);
    if (this.#root instanceof Branch && this.#root.children.length === 1) this.#root = this.#root.children[0]!;
    this.#size--;
    return this.#previous;
  }

  clear(): void {
    this.#root = emptyLeaf<V>(this.#owner);
    this.#size = 0;
  }

  /** The same content; changes of either are not seen by the other. */
  clone(): OrderedMap<V> {
    const clone = new OrderedMap<V>();
    clone.#root = this.#root;
    clone.#size = this.#size;
    this.#owner = {};
    return clone;
  }

  /** Entries with from ≤ key < to, ascending; to the end without `to`. The map must not change meanwhile (clone it for that). */
  entries(from: Key = '', to?: Key): IterableIterator<readonly [Key, V]> {
    return new Entries(this.#root, from, to);
  }

  #own(node: Node<V>): Node<V> {
    if (node.owner === this.#owner) return node;
    return node instanceof Leaf
      ? new Leaf(this.#owner, node.run.copy(), node.values.slice())
      : new Branch(this.#owner, node.run.copy(), node.children.slice());
  }

  #ownChild(branch: Branch<V>, at: number): Node<V> {
    const child = this.#own(branch.children[at]!);
    branch.children[at] = child;
    return child;
  }

  /** `node` is of this tree and covers from ≤ key < to. Returns the right half if it had to be split. */
  #insert(node: Node<V>, key: Key, value: V, from: Bound, to: Bound): Split<V> | undefined {
    if (node instanceof Leaf) return this.#insertIntoLeaf(node, key, value, from, to);
    const at = node.run.countUpTo(key);
    const { keys } = node.run;
    const right = this.#insert(this.#ownChild(node, at), key, value, keys[at - 1] ?? from, keys[at] ?? to);
    if (right === undefined) return undefined;
    node.run.insert(at, right.from);
    node.children.splice(at + 1, 0, right.node);
    if (node.children.length <= nodeMax) return undefined;
    const half = splitPoint(node.children.length, at + 1);
    const sibling = new Branch<V>(this.#owner, node.run.splitOff(half), node.children.splice(half));
    const middle = keys[half - 1]!;
    node.run.remove(half - 1);
    return splitAt(middle, node, sibling, from, to);
  }

  #insertIntoLeaf(leaf: Leaf<V>, key: Key, value: V, from: Bound, to: Bound): Split<V> | undefined {
    const at = leaf.run.countBelow(key);
    if (leaf.run.keys[at] === key) {
      this.#previous = leaf.values[at];
      leaf.values[at] = value;
      return undefined;
    }
    leaf.run.insert(at, key);
    if (at === leaf.values.length) leaf.values.push(value);
    else leaf.values.splice(at, 0, value);
    if (leaf.values.length <= nodeMax) return undefined;
    const half = splitPoint(leaf.values.length, at);
    const sibling = new Leaf<V>(this.#owner, leaf.run.splitOff(half), leaf.values.splice(half));
    return splitAt(sibling.run.keys[0]!, leaf, sibling, from, to);
  }

  /** The key is there. */
  #remove(node: Node<V>, key: Key, from: Bound, to: Bound): void {
    if (node instanceof Leaf) {
      const at = node.run.indexOf(key);
      assert(at >= 0, 'a key that is removed is there');
      this.#previous = node.values[at];
      node.run.remove(at);
      node.values.splice(at, 1);
      return;
    }
    const at = node.run.countUpTo(key);
    const { keys } = node.run;
    const child = this.#ownChild(node, at);
    this.#remove(child, key, keys[at - 1] ?? from, keys[at] ?? to);
    const size = sizeOf(child);
    if (size >= nodeMin) return;
    if (at > 0 && sizeOf(node.children[at - 1]!) + size <= nodeMax) this.#join(node, at - 1, from, to);
    else if (at < keys.length && sizeOf(node.children[at + 1]!) + size <= nodeMax) this.#join(node, at, from, to);
  }

  /** Takes the child after `at` into the one at `at`. `parent` covers from ≤ key < to. */
  #join(parent: Branch<V>, at: number, from: Bound, to: Bound): void {
    const left = this.#ownChild(parent, at);
    const right = parent.children[at + 1]!;
    const { keys } = parent.run;
    left.run.cover(keys[at - 1] ?? from, keys[at + 1] ?? to);
    if (left instanceof Leaf && right instanceof Leaf) {
      left.run.append(right.run.keys);
      left.values.push(...right.values);
    } else if (left instanceof Branch && right instanceof Branch) {
      left.run.append([keys[at]!, ...right.run.keys]);
      left.children.push(...right.children);
    } else assert(false, 'siblings are of one kind');
    parent.run.remove(at);
    parent.children.splice(at + 1, 1);
  }

  /** What holds of every tree; throws otherwise. */
  invariants(): void {
    const count = check(this.#root, undefined, undefined, true);
    assert(count.entries === this.#size, 'the size is the number of entries', { size: this.#size, ...count });
  }
}

/** The bound of a range; undefined: there is none. */
type Bound = Key | undefined;

/** The right half of a node, and the least key that belongs to it. */
interface Split<V> {
  readonly from: Key;
  readonly node: Node<V>;
}

function splitAt<V>(middle: Key, left: Node<V>, right: Node<V>, from: Bound, to: Bound): Split<V> {
  left.run.cover(from, middle);
  right.run.cover(middle, to);
  return { from: middle, node: right };
}

function sizeOf<V>(node: Node<V>): number {
  return node instanceof Leaf ? node.values.length : node.children.length;
}

/** In the middle; but ascending insertion leaves full nodes behind instead of half full ones. */
function splitPoint(length: number, insertedAt: number): number {
  return insertedAt === length - 1 ? length - 1 : length >> 1;
}

function check<V>(
  node: Node<V>,
  from: Key | undefined,
  to: Key | undefined,
  isRoot: boolean,
): { entries: number; depth: number } {
  const { keys } = node.run;
  for (let i = 0; i < keys.length; i++) {
    assert((i === 0 || keys[i - 1]! < keys[i]!) && (from === undefined || keys[i]! >= from), 'keys ascend');
    assert(to === undefined || keys[i]! < to, 'keys stay below the next separator');
  }
  if (node instanceof Leaf) {
    assert(keys.length === node.values.length && keys.length <= nodeMax, 'a leaf is in order', { length: keys.length });
    assert(isRoot || keys.length > 0, 'no leaf but the root is empty');
    return { entries: keys.length, depth: 1 };
  }
  const { children } = node;
  assert(children.length === keys.length + 1 && children.length <= nodeMax, 'a branch is in order');
  let entries = 0;
  let depth = 0;
  children.forEach((child, i) => {
    const below = check(child, keys[i - 1] ?? from, keys[i] ?? to, false);
    assert(i === 0 || depth === below.depth, 'all leaves are equally deep');
    entries += below.entries;
    depth = below.depth;
  });
  return { entries, depth: depth + 1 };
}

/** Walks the leaves from left to right; no links between leaves, since clones share them. */
class Entries<V> implements IterableIterator<readonly [Key, V]> {
  readonly #to: Key | undefined;
  readonly #branches: Branch<V>[] = [];
  readonly #positions: number[] = [];
  #leaf: Leaf<V>;
  #at: number;

  constructor(root: Node<V>, from: Key, to: Key | undefined) {
    this.#to = to;
    let node = root;
    while (node instanceof Branch) {
      const at = node.run.countUpTo(from);
      this.#branches.push(node);
      this.#positions.push(at);
      node = node.children[at]!;
    }
    this.#leaf = node;
    this.#at = node.run.countBelow(from);
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<readonly [Key, V], undefined> {
    while (this.#at >= this.#leaf.values.length) if (!this.#nextLeaf()) return { done: true, value: undefined };
    const at = this.#at++;
    const key = this.#leaf.run.keys[at]!;
    if (this.#to !== undefined && key >= this.#to) {
      this.#at = this.#leaf.values.length;
      this.#branches.length = 0;
      return { done: true, value: undefined };
    }
    return { done: false, value: [key, this.#leaf.values[at]!] };
  }

  #nextLeaf(): boolean {
    let depth = this.#branches.length - 1;
    while (depth >= 0 && this.#positions[depth]! + 1 >= this.#branches[depth]!.children.length) depth--;
    if (depth < 0) return false;
    let node: Node<V> = this.#branches[depth]!.children[++this.#positions[depth]!]!;
    while (node instanceof Branch) {
      depth++;
      this.#branches[depth] = node;
      this.#positions[depth] = 0;
      node = node.children[0]!;
    }
    this.#leaf = node;
    this.#at = 0;
    return true;
  }
}
