/** Who this master is: what it says of itself to others, kept in its directory. */
import { assert } from '../../../core/base/assert.ts';
import type { Address, NodeId } from '../../../core/base/brand.ts';
import type { Env } from '../../../core/base/env.ts';
import { CairnError } from '../../../core/base/errors.ts';
import type { Introduction } from '../../../core/protocol/membership.ts';
import type { MasterAddress } from '../options.ts';
import { type MemberRecord, newMemberRecord, readMemberFile, writeMemberFile } from './member-file.ts';
import { checkTerms } from './terms.ts';

export interface SelfOptions {
  readonly env: Env;
  readonly clusterId: string;
  /** Configured. */
  readonly id: number;
  readonly address: Address;
  /** In the configuration, this one too unless it is to be added. */
  readonly masters: readonly MasterAddress[];
  /** What all members must agree on. */
  readonly terms: string;
}

export class Self {
  readonly env: Env;
  readonly clusterId: string;
  readonly id: number;
  readonly address: Address;
  readonly masters: readonly MasterAddress[];
  readonly terms: string;
  /** Of this process. */
  readonly instance: number;
  #record: MemberRecord;

  private constructor({ env, clusterId, id, address, masters, terms }: SelfOptions, record: MemberRecord) {
    this.env = env;
    this.clusterId = clusterId;
    this.id = id;
    this.address = address;
    this.masters = masters;
    this.terms = terms;
    this.instance = env.random.id53();
    this.#record = record;
  }

  /**
   * Reads what the directory says, and marks one that was never used.
   * @returns `damage`: the file says nothing that can be trusted, and this master must take another name
   * @throws CairnError WRONG_FORMAT, DISK_FULL, DISK_FAILED
   */
  static async open(options: SelfOptions): Promise<{ readonly self: Self; readonly damage: CairnError | undefined }> {
    const { env } = options;
    try {
      const found = await readMemberFile(env);
      if (found !== undefined) return { self: new Self(options, found), damage: undefined };
      const self = new Self(options, newMemberRecord(env));
      await self.save(self.record);
      return { self, damage: undefined };
    } catch (thrown) {
      if (!(thrown instanceof CairnError) || thrown.code !== 'LOG_CORRUPT') throw thrown;
      return { self: new Self(options, newMemberRecord(env)), damage: thrown };
    }
  }

  get record(): MemberRecord {
    return this.#record;
  }
  /** Its name in the group. */
  get node(): NodeId {
    const { node } = this.#record;
    assert(node !== undefined, 'a master has its name before it takes part', { id: this.id });
    return node;
  }
  /** The other masters of the configuration. */
  get others(): readonly MasterAddress[] {
    return this.masters.filter(({ id }) => id !== this.id);
  }
  /** It belongs to the masters that a new group is founded with. */
  get isConfigured(): boolean {
    return this.masters.some(({ id }) => id === this.id);
  }

  /** Durable when it resolves. */
  async save(record: MemberRecord): Promise<void> {
    await writeMemberFile(this.env, record);
    this.#record = record;
  }

  /** From now on it says that it has promised nothing: what its directory holds is not to be relied on. Not saved yet. */
  disown(): void {
    this.#record = newMemberRecord(this.env);
  }

  introduction(to?: NodeId): Introduction {
    const { clusterId, id, instance, address, terms } = this;
    const { node, directory, founders } = this.#record;
    const configured = this.masters.map((master) => Number(master.id)).sort((a, b) => a - b);
    return { clusterId, id, node, directory, instance, address, terms, configured, founders, to };
  }

  /** @throws CairnError CONFIG_INVALID */
  checkTerms(other: Introduction): void {
    checkTerms('master', this, other);
  }
}
