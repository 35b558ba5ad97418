/** The tree as the simplest thing that could be right: nested maps. What the state machine must agree with. */

/** Of each chunk a number that says which bytes it has: two files that have the same share it. */
export interface ModelFile {
  readonly chunks: Map<number, number>;
}
export type ModelNode = Map<string, ModelNode> | ModelFile;

export class ModelTree {
  readonly root: Map<string, ModelNode> = new Map();
  readonly #trash: ModelNode[] = [];
  #nextChunk = 1;

  /** The directory above, or a code. */
  #parent(names: readonly string[], make: boolean): Map<string, ModelNode> | string {
    let at = this.root;
    for (const name of names.slice(0, -1)) {
      let next = at.get(name);
      if (next !== undefined && !isDirectory(next)) return 'NOT_A_DIRECTORY';
      if (next === undefined) {
        if (!make) return 'NOT_FOUND';
        next = new Map();
        at.set(name, next);
      }
      at = next;
    }
    return at;
  }

  /** `chunks`: how many the file is to have at least; none is made if it is 0. */
  open(
    names: readonly string[],
    how: {
      readonly create: 'never' | 'ifMissing' | 'exclusive';
      readonly parents: boolean;
      readonly truncate: boolean;
      readonly chunks: number;
    },
  ): string {
    if (names.length === 0) return 'IS_A_DIRECTORY';
    const parent = this.#parent(names, how.parents && how.create !== 'never');
    if (typeof parent === 'string') return parent;
    const name = names.at(-1)!;
    let found = parent.get(name);
    if (found === undefined && how.create === 'never') return 'NOT_FOUND';
    if (found !== undefined && isDirectory(found)) return 'IS_A_DIRECTORY';
    if (found !== undefined && how.create === 'exclusive') return 'EXISTS';
    found ??= { chunks: new Map() };
    parent.set(name, found);
    if (how.truncate) found.chunks.clear();
    for (let index = 0; index < how.chunks; index++)
      if (!found.chunks.has(index)) found.chunks.set(index, this.#nextChunk++);
    return 'ok';
  }

  mkdir(names: readonly string[], parents: boolean): string {
    if (names.length === 0) return parents ? 'ok' : 'EXISTS';
    const parent = this.#parent(names, parents);
    if (typeof parent === 'string') return parent;
    const found = parent.get(names.at(-1)!);
    if (found !== undefined) return parents && isDirectory(found) ? 'ok' : 'EXISTS';
    parent.set(names.at(-1)!, new Map());
    return 'ok';
  }

  /** @param isKept in the trash, the last one removed at the end. */
  remove(names: readonly string[], recursive: boolean, isKept = false): string {
    if (names.length === 0) return 'INVALID_ARGUMENT';
    const parent = this.#parent(names, false);
    if (typeof parent === 'string') return parent;
    const found = parent.get(names.at(-1)!);
    if (found === undefined) return 'NOT_FOUND';
    if (isDirectory(found) && found.size > 0 && !recursive) return 'NOT_EMPTY';
    parent.delete(names.at(-1)!);
    if (isKept) this.#trash.push(found);
    return 'ok';
  }

  restore(which: number, to: readonly string[]): string {
    const item = this.#trash[which]!;
    let at: ModelNode | undefined = this.root;
    for (const name of to.slice(0, -1)) {
      at = at.get(name);
      if (at === undefined) break;
      if (!isDirectory(at)) return 'NOT_A_DIRECTORY';
    }
    if (at?.has(to.at(-1)!) === true) return 'EXISTS';
    const parent = this.#parent(to, true);
    if (typeof parent === 'string') return parent;
    parent.set(to.at(-1)!, item);
    this.#trash.splice(which, 1);
    return 'ok';
  }

  rename(from: readonly string[], to: readonly string[], replace: boolean): string {
    const above = this.#parent(from, false);
    if (typeof above === 'string') return above;
    const below = this.#parent(to, false);
    if (typeof below === 'string') return below;
    if (from.length === 0) return 'INVALID_ARGUMENT';
    const moved = above.get(from.at(-1)!);
    if (moved === undefined) return 'NOT_FOUND';
    if (to.length === 0) return replace ? 'NOT_EMPTY' : 'EXISTS';
    if (isDirectory(moved) && isBelow(from, to)) return 'INTO_ITSELF';
    const target = below.get(to.at(-1)!);
    if (target !== undefined && !replace) return 'EXISTS';
    if (from.join('/') === to.join('/')) return 'ok';
    if (target !== undefined && isDirectory(target)) {
      if (!isDirectory(moved)) return 'IS_A_DIRECTORY';
      if (target.size > 0) return 'NOT_EMPTY';
    } else if (target !== undefined && isDirectory(moved)) return 'NOT_A_DIRECTORY';
    above.delete(from.at(-1)!);
    below.set(to.at(-1)!, moved);
    return 'ok';
  }

  fileSnapshot(from: readonly string[], to: readonly string[]): string {
    const above = this.#parent(from, false);
    if (typeof above === 'string') return above;
    const below = this.#parent(to, false);
    if (typeof below === 'string') return below;
    if (from.length === 0) return 'INTO_ITSELF';
    const source = above.get(from.at(-1)!);
    if (source === undefined) return 'NOT_FOUND';
    if (to.length === 0 || below.has(to.at(-1)!)) return 'EXISTS';
    if (isDirectory(source) && isBelow(from, to)) return 'INTO_ITSELF';
    below.set(to.at(-1)!, copyOf(source));
    return 'ok';
  }

  /** The chunk gets bytes that no other file has. False if there is none. */
  write(names: readonly string[], index: number): boolean {
    const file = this.find(names);
    if (file === undefined || isDirectory(file) || !file.chunks.has(index)) return false;
    file.chunks.set(index, this.#nextChunk++);
    return true;
  }

  isFile(names: readonly string[]): boolean {
    const found = this.find(names);
    return found !== undefined && !isDirectory(found);
  }

  /** Of a file that is there. */
  truncate(names: readonly string[], chunkCount: number): void {
    const file = this.find(names) as ModelFile;
    for (const index of [...file.chunks.keys()]) if (index >= chunkCount) file.chunks.delete(index);
  }

  find(names: readonly string[]): ModelNode | undefined {
    let at: ModelNode | undefined = this.root;
    for (const name of names) at = at !== undefined && isDirectory(at) ? at.get(name) : undefined;
    return at;
  }

  /** Every path, directories with a slash at the end; of files the chunks with their indexes. */
  get contents(): ReadonlyMap<string, ReadonlyMap<number, number>> {
    const all = new Map<string, ReadonlyMap<number, number>>();
    const visit = (at: Map<string, ModelNode>, prefix: string) => {
      for (const [name, node] of at) {
        if (!isDirectory(node)) all.set(prefix + name, node.chunks);
        else {
          all.set(`${prefix}${name}/`, new Map());
          visit(node, `${prefix}${name}/`);
        }
      }
    };
    visit(this.root, '/');
    return all;
  }
}

function isDirectory(node: ModelNode): node is Map<string, ModelNode> {
  return node instanceof Map;
}
function isBelow(above: readonly string[], path: readonly string[]): boolean {
  return path.length > above.length && above.every((name, i) => path[i] === name);
}
function copyOf(node: ModelNode): ModelNode {
  if (!isDirectory(node)) return { chunks: new Map(node.chunks) };
  return new Map([...node].map(([name, below]) => [name, copyOf(below)]));
}
