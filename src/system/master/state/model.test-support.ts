/** The tree as the simplest thing that could be right: nested maps. What the state machine must agree with. */
export type ModelNode = Map<string, ModelNode> | 'file';

export class ModelTree {
  readonly root: Map<string, ModelNode> = new Map();

  /** The directory above, or a code. */
  #parent(names: readonly string[], make: boolean): Map<string, ModelNode> | string {
    let at = this.root;
    for (const name of names.slice(0, -1)) {
      let next = at.get(name);
      if (next === 'file') return 'NOT_A_DIRECTORY';
      if (next === undefined) {
        if (!make) return 'NOT_FOUND';
        next = new Map();
        at.set(name, next);
      }
      at = next;
    }
    return at;
  }

  open(names: readonly string[], create: 'never' | 'ifMissing' | 'exclusive', parents: boolean): string {
    if (names.length === 0) return 'IS_A_DIRECTORY';
    const parent = this.#parent(names, parents && create !== 'never');
    if (typeof parent === 'string') return parent;
    const name = names.at(-1)!;
    const found = parent.get(name);
    if (found === undefined) {
      if (create === 'never') return 'NOT_FOUND';
      parent.set(name, 'file');
      return 'ok';
    }
    if (found !== 'file') return 'IS_A_DIRECTORY';
    return create === 'exclusive' ? 'EXISTS' : 'ok';
  }

  mkdir(names: readonly string[], parents: boolean): string {
    if (names.length === 0) return parents ? 'ok' : 'EXISTS';
    const parent = this.#parent(names, parents);
    if (typeof parent === 'string') return parent;
    const found = parent.get(names.at(-1)!);
    if (found !== undefined) return parents && found !== 'file' ? 'ok' : 'EXISTS';
    parent.set(names.at(-1)!, new Map());
    return 'ok';
  }

  remove(names: readonly string[], recursive: boolean): string {
    if (names.length === 0) return 'INVALID_ARGUMENT';
    const parent = this.#parent(names, false);
    if (typeof parent === 'string') return parent;
    const found = parent.get(names.at(-1)!);
    if (found === undefined) return 'NOT_FOUND';
    if (found !== 'file' && found.size > 0 && !recursive) return 'NOT_EMPTY';
    parent.delete(names.at(-1)!);
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
    if (moved !== 'file' && to.length > from.length && from.every((name, i) => to[i] === name)) return 'INTO_ITSELF';
    const target = below.get(to.at(-1)!);
    if (target !== undefined && !replace) return 'EXISTS';
    if (from.join('/') === to.join('/')) return 'ok';
    if (target !== undefined && target !== 'file') {
      if (moved === 'file') return 'IS_A_DIRECTORY';
      if (target.size > 0) return 'NOT_EMPTY';
    } else if (target === 'file' && moved !== 'file') return 'NOT_A_DIRECTORY';
    above.delete(from.at(-1)!);
    below.set(to.at(-1)!, moved);
    return 'ok';
  }

  /** Every path, directories with a slash at the end. */
  paths(): string[] {
    const all: string[] = [];
    const visit = (at: Map<string, ModelNode>, prefix: string) => {
      for (const [name, node] of at) {
        all.push(prefix + name + (node === 'file' ? '' : '/'));
        if (node !== 'file') visit(node, `${prefix}${name}/`);
      }
    };
    visit(this.root, '/');
    return all.sort();
  }
}
