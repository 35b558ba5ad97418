/**
 * This master as one of a group: its name, its replica of the log, its connections to the others. Sees to it that whoever has lost what
 * it promised comes back under another name, and that whoever was removed stops.
 */
import type { Address, NodeId } from '../../../core/base/brand.ts';
import type { Env } from '../../../core/base/env.ts';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import { configuredIdOf, incarnationOf } from '../../../core/base/node-id.ts';
import type { IntroductionFrame } from '../../../core/protocol/membership.ts';
import { type Leadership, type Members, Replica, type SnapshotPart } from '../../rsm/replica.ts';
import type { MasterOptions } from '../options.ts';
import { Peers } from '../peers.ts';
import type { MetadataMachine } from '../state/metadata-machine.ts';
import type { Roster } from '../state/roster.ts';
import { asideIfThere, holdsLog } from './aside.ts';
import { type Caller, Doorkeeper, notAMember } from './doorkeeper.ts';
import { askForName, Founding } from './founding.ts';
import { Greetings } from './greetings.ts';
import { Leaving } from './leaving.ts';
import { Self } from './self.ts';
import { termsOf } from './terms.ts';

/** How long a master whose log is damaged looks for a leader that gives it another name. */
const repairMs = 10_000;

export interface GroupWorld {
  leadershipChanged(change: Leadership): void;
  applied(): void;
  rosterChanged(): void;
}

export class Group<Message, LogRecord, Peer extends Caller> {
  readonly peers: Peers;
  readonly doorkeeper: Doorkeeper<Peer>;
  readonly #options: MasterOptions<Message, LogRecord>;
  readonly #env: Env;
  readonly #self: Self;
  readonly #machine: MetadataMachine;
  readonly #world: GroupWorld;
  readonly #founding: Founding;
  readonly #heardAt = new Map<NodeId, number>();
  readonly #leaving: Leaving;
  #damage: CairnError | undefined;
  #replica: Replica<Message, LogRecord> | undefined;

  private constructor(
    options: MasterOptions<Message, LogRecord>,
    self: Self,
    damage: CairnError | undefined,
    machine: MetadataMachine,
    world: GroupWorld,
  ) {
    this.#options = options;
    this.#env = options.env;
    this.#self = self;
    this.#damage = damage;
    this.#machine = machine;
    this.#world = world;
    this.#founding = new Founding(self);
    this.doorkeeper = new Doorkeeper(self, {
      isGone: (node) => this.isGone(node),
      met: (other) => this.#founding.met(other),
      admitted: (node) => this.#admitted(node),
    });
    const { env, onFailure } = options;
    this.#leaving = new Leaving({ env, self, roster: () => this.roster, onFailure });
    const greetings = new Greetings({
      ...{ env, self, onFailure, leaving: this.#leaving },
      members: () => this.members,
      addressOf: (node) => this.addressOf(node),
    });
    this.peers = new Peers(options.env, () => self.node, {
      addressOf: (node) => this.addressOf(node),
      elsewhere: (node) => this.#configuredAddressOf(node),
      greet: (node, rpc, at) => greetings.greet(node, rpc, at),
    });
    machine.rosterChanged = () => options.env.clock.soon(() => this.#rosterChanged());
  }

  /** Reads what the directory says of this master. @throws CairnError WRONG_FORMAT, DISK_FAILED, DISK_FULL */
  static async read<Message, LogRecord, Peer extends Caller>(
    options: MasterOptions<Message, LogRecord>,
    address: Address,
    machine: MetadataMachine,
    world: GroupWorld,
  ): Promise<Group<Message, LogRecord, Peer>> {
    const { env, clusterId, id, masters, replica } = options;
    const terms = termsOf({ kind: replica.kind, config: replica.config, rules: machine.rules });
    const { self, damage } = await Self.open({ env, clusterId, id, address, masters, terms });
    const isOrphaned = self.record.node === undefined && (await holdsLog(env.disk, replica.directory));
    const orphaned = isOrphaned
      ? lost(`there is a log in ${replica.directory}/, and nothing says whose it is`)
      : undefined;
    return new Group<Message, LogRecord, Peer>(options, self, damage ?? orphaned, machine, world);
  }

  get self(): Self {
    return this.#self;
  }
  /** Undefined while this master is about to take part. */
  get replica(): Replica<Message, LogRecord> | undefined {
    return this.#replica;
  }
  /** Why there is no replica yet. */
  get waitsFor(): string {
    return this.#founding.waitsFor;
  }
  get roster(): Roster {
    return this.#machine.tables.roster;
  }
  get members(): Members {
    return this.#replica?.status.members ?? { voters: [], nonVoters: [] };
  }

  // ---------------------------------------------------------------- taking part

  /**
   * Comes by its name, if it has none yet, and opens its replica under it. May wait for other masters as long as it takes.
   * @throws CairnError LOG_CORRUPT when the peers cannot repair it, NOT_A_MEMBER, DUPLICATE_ID, CONFIG_INVALID, WRONG_CLUSTER …
   */
  async takePart(): Promise<void> {
    const self = this.#self;
    for (;;) {
      if (this.#damage !== undefined) await this.#takeAnotherName(this.#damage);
      this.#damage = undefined;
      if (self.record.removed) throw notAMember(self.node);
      if (self.record.node === undefined) await this.#founding.becomeMember();
      try {
        await this.#openReplica();
        return;
      } catch (thrown) {
        const error = toCairnError(thrown);
        if (error.code !== 'LOG_CORRUPT' && error.code !== 'DISK_CORRUPT') throw error;
        this.#damage = error;
      }
    }
  }

  async #openReplica(): Promise<void> {
    const { env, replica, onFailure } = this.#options;
    const self = this.#self;
    const { config, storeDirectory, openStore, ...rest } = replica;
    if (!self.record.opened) await this.#setAside();
    else if (!(await holdsLog(env.disk, replica.directory)))
      throw lost(`the log in ${replica.directory}/ is gone, with what this master promised in it`);
    const store = await openStore();
    try {
      this.#replica = await Replica.open({
        env,
        ...rest,
        store,
        config: { ...config, id: self.node, bootstrap: { voters: self.record.bootstrap, nonVoters: [] } },
        stateMachine: this.#machine,
        transport: this.peers,
        logOpened: () => self.save({ ...self.record, opened: true }),
        onLeadership: (change) => this.#world.leadershipChanged(change),
        onApplied: () => this.#world.applied(),
        onFailure,
      });
    } catch (thrown) {
      await store.close();
      throw thrown;
    }
    this.peers.epoch = this.#replica.status.epoch;
    this.#rosterChanged();
  }

  /** Nothing on the disk is touched before the leader has given this master another name. */
  async #takeAnotherName(damage: CairnError): Promise<void> {
    const self = this.#self;
    this.#env.events.emit('error', 'log_damaged', { master: self.id, why: damage.message });
    self.disown();
    try {
      const joined = await askForName(
        self,
        self.others.map(({ address }) => address),
        repairMs,
      );
      await self.save({ ...self.record, ...joined });
    } catch (thrown) {
      const { message } = toCairnError(thrown);
      throw new CairnError(
        damage.code,
        `${damage.message}; it cannot be repaired from the other masters now: ${message}`,
        {
          cause: damage,
        },
      );
    }
  }

  /** What is there before a log was made under this name is of an earlier one. */
  async #setAside(): Promise<void> {
    const { env, replica } = this.#options;
    const directory = await asideIfThere(env, [replica.directory, replica.storeDirectory]);
    if (directory !== undefined) env.events.emit('warn', 'damaged_log_kept', { master: this.#self.id, directory });
  }

  // ---------------------------------------------------------------- the others

  /** Removed or replaced by decision, and the configuration is without it, for all that may come: else its vote might still be needed. */
  isGone(node: NodeId): boolean {
    if (this.#replica === undefined || !this.roster.isGone(node)) return false;
    const { members, membersSettled } = this.#replica.status;
    const { voters, votersNext = [], nonVoters } = members;
    return membersSettled && ![...voters, ...votersNext, ...nonVoters].includes(node);
  }

  /** Where the node listens: where it said itself, else as the roster says, else as configured. */
  addressOf(node: NodeId): Address | undefined {
    const id = configuredIdOf(node);
    // An incarnation of ours that is no more may still be named in the log.
    if (id === this.#self.id) return this.#self.record.node === node ? this.#self.address : undefined;
    const told = this.doorkeeper.addressOf(node);
    if (told !== undefined) return told;
    const booked = this.#replica === undefined ? undefined : this.roster.member(id);
    if (booked === undefined) return this.#configuredAddressOf(node);
    // The log may name a later one than is booked yet, and no more is booked before they have met: whoever is found there is asked for its name first.
    return incarnationOf(node) >= incarnationOf(booked.node) ? booked.address : undefined;
  }

  /** All may have moved at once since they were booked. Whoever is found there is asked for its name before anything else. */
  #configuredAddressOf(node: NodeId): Address | undefined {
    return this.#self.masters.find(({ id }) => id === configuredIdOf(node))?.address;
  }

  /** @throws CairnError why it is not accepted */
  introduce(frame: IntroductionFrame, peer: Peer): Promise<IntroductionFrame> {
    return this.doorkeeper.introduce(frame, peer);
  }

  /** Whether a message over this connection is one of a member, under its own name, for this one. */
  takes(peer: Peer, from: NodeId, to: NodeId, epoch: number): boolean {
    if (this.#replica === undefined || this.doorkeeper.nodeOf(peer) !== from || this.#self.record.node !== to)
      return false;
    return epoch === this.peers.epoch;
  }

  /** False if it cannot be read. */
  receive(from: NodeId, message: Uint8Array): boolean {
    if (this.#leaving.isOver || this.#replica === undefined) return true;
    this.#heardAt.set(from, this.#env.clock.now());
    return this.#replica.receive(from, message);
  }

  receiveSnapshotPart(from: NodeId, part: SnapshotPart, bytes: Uint8Array): Promise<number> {
    if (this.#leaving.isOver || this.#replica === undefined)
      throw new CairnError('UNAVAILABLE', 'this master is starting or stopping; try again later');
    this.#heardAt.set(from, this.#env.clock.now());
    return this.#replica.receiveSnapshotPart(from, part, bytes);
  }

  /** It has sent something a little while ago. */
  isReachable(node: NodeId): boolean {
    const heardAt = this.#heardAt.get(node);
    const patienceMs = 2 * this.#options.replica.config.timing.electionTimeoutMaxMs;
    return heardAt !== undefined && this.#env.clock.now() - heardAt <= patienceMs;
  }

  /** A member that has moved is booked where it is now. */
  #admitted(node: NodeId): void {
    if (this.#replica === undefined) return;
    const booked = this.roster.member(configuredIdOf(node));
    if (booked?.node === node && booked.address !== this.doorkeeper.addressOf(node)) this.#world.rosterChanged();
  }

  // ---------------------------------------------------------------- being removed

  #rosterChanged(): void {
    if (this.#leaving.isOver || this.#replica === undefined) return;
    this.peers.keepOnly((node) => !this.isGone(node));
    this.#world.rosterChanged();
    if (this.roster.isGone(this.#self.node)) void this.#leaving.askWhetherGone();
  }

  async close(): Promise<void> {
    this.#leaving.stop();
    this.#founding.stop();
    this.peers.close();
    await this.#replica?.close();
  }
}

function lost(what: string): CairnError {
  return new CairnError('LOG_CORRUPT', `${what}; bring it back, or start this master on an empty directory`);
}
