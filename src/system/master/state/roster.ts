/**
 * The masters of the cluster, as the log knows them: who belongs to the group, under which incarnation, and where each listens. The engine
 * knows members by number only; the leader brings its configuration in line with this, one change at a time. Entries of masters
 * that were removed stay, so that no incarnation is ever used twice.
 */
import type { Address, NodeId } from '../../../core/base/brand.ts';
import { configuredIdOf, incarnationOf, nodeIdOf } from '../../../core/base/node-id.ts';
import type { OrderedStore } from '../../storage/ordered-store.ts';
import * as keys from './keys.ts';
import { decodeMaster, encodeMaster, type MasterRecord } from './records.ts';

/** Masters that belong to a cluster at a time. */
export const mastersMax = 9;

/** A master that belongs to the group. */
export interface RosterEntry {
  readonly node: NodeId;
  /** What people call it. */
  readonly id: number;
  readonly address: Address;
  /** Drawn when its data directory was first used. */
  readonly directory: number;
}

export class Roster {
  readonly #store: OrderedStore;
  /** By configured id. */
  readonly #masters = new Map<number, MasterRecord>();
  changed: () => void = () => {};

  constructor(store: OrderedStore) {
    this.#store = store;
    for (const [key, bytes] of store.scan(keys.masterTable.from, keys.masterTable.to))
      this.#masters.set(keys.masterOfKey(key), decodeMaster(bytes));
  }

  /** Ascending by id. */
  get members(): readonly RosterEntry[] {
    return [...this.#masters]
      .filter(([, master]) => !master.removed)
      .map(([id, master]) => entryOf(id, master))
      .sort((a, b) => a.id - b.id);
  }

  /** The member of this id. */
  member(id: number): RosterEntry | undefined {
    const found = this.#masters.get(id);
    return found === undefined || found.removed ? undefined : entryOf(id, found);
  }

  /** Whether an entry was ever made for the id, of a master that was removed too. */
  knows(id: number): boolean {
    return this.#masters.has(id);
  }

  /** For certain and for ever: a later incarnation has taken its place, or it was removed. */
  isGone(node: NodeId): boolean {
    const found = this.#masters.get(configuredIdOf(node));
    if (found === undefined) return false;
    const incarnation = incarnationOf(node);
    return found.incarnation > incarnation || (found.incarnation === incarnation && found.removed);
  }

  /** For what is applied only. */
  record(id: number): MasterRecord | undefined {
    return this.#masters.get(id);
  }
  put(id: number, master: MasterRecord): void {
    this.#masters.set(id, master);
    this.#store.put(keys.masterKey(id), encodeMaster(master));
    this.changed();
  }
}

function entryOf(id: number, { incarnation, address, directory }: MasterRecord): RosterEntry {
  return { node: nodeIdOf(id, incarnation), id, address, directory };
}
