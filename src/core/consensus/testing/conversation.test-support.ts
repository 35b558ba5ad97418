/**
 * Conversations between engines as text: commands, and under each what the nodes then do and say. The commands name nothing of any
 * one protocol, so the same script runs on both engines and the two texts can be laid side by side.
 *
 *     group N [one] [+K] [lease]
 *                          N nodes, with empty logs; later lines name them by number. `one`: a message holds one entry; K more nodes
 *                          run without being members; `lease`: of 400 ms
 *     timeout N            time passes until node N wants a tick, and only N gets one
 *     deliver [A>B …]      messages arrive: all that are under way, or those of the links named; answers are under way then
 *     lose [A>B …]         messages get lost: likewise
 *     write N              node N's disk finishes everything that it was given
 *     settle [N …]         deliver and write among the nodes named (or all) until all is quiet
 *     propose N TEXT       a proposal at node N
 *     pass MS              time passes, and nobody gets a tick
 *     read N [LEVEL]       a read at node N, linearizable unless another level is named
 *     transfer N M         node N is asked to hand leadership to node M
 *     members N A… [+ B…]  node N is asked for A… as voters, B… as non-voters
 *     crash N, restart N   what the disk had not finished is lost
 *     log                  the logs of all nodes, by the term (or round) of each entry; (n) is the commit index
 */
import { assert } from '../../base/assert.ts';
import { type NodeId, toMillis, toNodeId } from '../../base/brand.ts';
import { toUtf8 } from '../../base/bytes.ts';
import { crc32 } from '../../base/crc32.ts';
import {
  type ControlRequest,
  defaultLimits,
  defaultTiming,
  type Effects,
  type Engine,
  type EngineKind,
  type Entry,
  type Envelope,
  type Input,
  type IoId,
  type LeaseTerms,
  type Members,
  type ReadId,
  type ReadLevel,
  toControlId,
  toEpoch,
} from '../engine.ts';
import {
  describe,
  describeDropped,
  describeEntries,
  describeRecords,
  describeTerms,
} from './description.test-support.ts';

interface Node<M, R> {
  readonly id: NodeId;
  engine: Engine<M, R> | undefined;
  readonly disk: R[];
  writing: { readonly io: IoId; readonly records: readonly R[] }[];
  gated: { readonly io: IoId; readonly envelopes: readonly Envelope<M>[] }[];
  entries: Map<number, Entry>;
}

interface Flight<M> {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly message: M;
}

export class Conversation<M, R> {
  readonly #kind: EngineKind<M, R>;
  readonly #lines: string[] = [];
  #nodes: Node<M, R>[] = [];
  #flights: Flight<M>[] = [];
  #limits = defaultLimits;
  #lease: LeaseTerms | undefined;
  #now = 1000;
  #sequence = 0;
  #reads = 0;
  #controls = 0;
  #bootstrap: Members = { voters: [], nonVoters: [] };

  constructor(kind: EngineKind<M, R>) {
    this.#kind = kind;
  }

  /** Runs the commands of a script, which may be a whole trace: only lines that begin with `> ` count, comments stay. */
  static run<M, R>(kind: EngineKind<M, R>, script: string): string {
    const conversation = new Conversation(kind);
    for (const line of script.split('\n')) {
      if (line.startsWith('> ')) conversation.#command(line);
      else if (line.startsWith('#') || (line === '' && conversation.#lines.at(-1) !== ''))
        conversation.#lines.push(line);
    }
    return `${conversation.#lines.join('\n').trimEnd()}\n`;
  }

  #command(line: string): void {
    this.#lines.push(line);
    const [verb, ...words] = line.slice(2).split(' ');
    const run = this.#verbs[verb ?? ''];
    if (run === undefined) throw new Error(`unknown command: ${line}`);
    run(words);
  }

  readonly #verbs: Readonly<Record<string, (words: readonly string[]) => void>> = {
    group: ([size, ...options]) => this.#group(Number(size), options),
    timeout: ([id]) => this.#timeout(this.#node(id)),
    deliver: (links) => this.#deliver(links),
    lose: (links) => void this.#take(links),
    write: ([id]) => this.#write(this.#node(id)),
    settle: (ids) => this.#settle(ids.length === 0 ? this.#nodes : ids.map((id) => this.#node(id))),
    propose: ([id, ...text]) => this.#propose(this.#node(id), text.join(' ')),
    pass: ([ms]) => {
      this.#now += Number(ms);
    },
    read: ([id, level = 'linearizable']) => this.#read(this.#node(id), level as ReadLevel),
    transfer: ([id, to]) => this.#control(this.#node(id), { kind: 'transferLeadership', to: this.#node(to).id }),
    members: ([id, ...words]) => this.#changeMembers(this.#node(id), words),
    crash: ([id]) => this.#crash(this.#node(id)),
    restart: ([id]) => this.#start(this.#node(id)),
    log: () => this.#showLogs(),
  };

  #group(size: number, options: readonly string[]): void {
    if (options.includes('one')) this.#limits = { ...defaultLimits, messageMaxBytes: 1 };
    if (options.includes('lease')) this.#lease = { durationMs: 400, driftMax: 0.1 };
    const strangers = Number(options.find((option) => option.startsWith('+')) ?? 0);
    const ids = Array.from({ length: size + strangers }, (_, i) => toNodeId(i + 1));
    this.#bootstrap = { voters: ids.slice(0, size), nonVoters: [] };
    this.#nodes = ids.map((id) => ({
      id,
      engine: undefined,
      disk: [],
      writing: [],
      gated: [],
      entries: new Map(),
    }));
    for (const node of this.#nodes) this.#start(node);
  }

  #start(node: Node<M, R>): void {
    node.engine = this.#kind.create(
      {
        id: node.id,
        bootstrap: this.#bootstrap,
        epoch: toEpoch(1),
        seed: 1,
        crc32,
        timing: defaultTiming,
        limits: this.#limits,
        ...(this.#lease && { lease: this.#lease }),
      },
      { records: [...node.disk], applied: undefined, now: toMillis(this.#now) },
    );
    node.entries = new Map();
    for (const record of node.disk) note(node, record);
  }

  #crash(node: Node<M, R>): void {
    node.engine = undefined;
    node.writing = [];
    node.gated = [];
    this.#flights = this.#flights.filter(({ from }) => from !== node.id);
  }

  #timeout(node: Node<M, R>): void {
    this.#now = Math.max(this.#now, node.engine!.nextTickAt);
    this.#step(node, { kind: 'tick', now: toMillis(this.#now) });
  }

  #propose(node: Node<M, R>, text: string): void {
    this.#sequence += 1;
    const proposals = [{ session: 1, sequence: this.#sequence, data: toUtf8(text) }];
    this.#step(node, { kind: 'propose', proposals, now: toMillis(this.#now) });
  }

  #read(node: Node<M, R>, level: ReadLevel): void {
    this.#reads += 1;
    this.#step(node, { kind: 'read', id: this.#reads as ReadId, level, now: toMillis(this.#now) });
  }

  #changeMembers(node: Node<M, R>, words: readonly string[]): void {
    const ids = (from: readonly string[]) => from.map((id) => this.#node(id).id);
    const plus = words.includes('+') ? words.indexOf('+') : words.length;
    const members = { voters: ids(words.slice(0, plus)), nonVoters: ids(words.slice(plus + 1)) };
    this.#control(node, { kind: 'changeMembers', members });
  }

  #control(node: Node<M, R>, request: ControlRequest): void {
    this.#controls += 1;
    this.#step(node, { kind: 'control', id: toControlId(this.#controls), request, now: toMillis(this.#now) });
  }

  /** Takes messages out of the air: all, or those of some links. */
  #take(links: readonly string[]): Flight<M>[] {
    const named = ({ from, to }: Flight<M>) => links.length === 0 || links.includes(`${from}>${to}`);
    const taken = this.#flights.filter(named);
    this.#flights = this.#flights.filter((flight) => !named(flight));
    return taken;
  }

  #deliver(links: readonly string[]): void {
    for (const flight of this.#take(links)) this.#arrive(flight);
  }

  #arrive({ from, to, message }: Flight<M>): void {
    const node = this.#node(to);
    const received = this.#kind.decodeMessage(this.#kind.encodeMessage(message));
    if (node.engine !== undefined)
      this.#step(node, { kind: 'message', from, message: received, now: toMillis(this.#now) });
  }

  #write(node: Node<M, R>): void {
    const done = node.writing.splice(0);
    const io = done.at(-1)?.io;
    if (io === undefined) return;
    for (const { records } of done) node.disk.push(...records);
    const ready = node.gated.filter((gated) => gated.io <= io);
    node.gated = node.gated.filter((gated) => gated.io > io);
    for (const { envelopes } of ready) for (const envelope of envelopes) this.#send(node, envelope);
    this.#step(node, { kind: 'persisted', io, now: toMillis(this.#now) });
  }

  #settle(among: readonly Node<M, R>[]): void {
    const ids = new Set(among.map(({ id }) => id));
    for (;;) {
      const next = this.#flights.findIndex(({ from, to }) => ids.has(from) && ids.has(to));
      const busy = among.find(({ writing }) => writing.length > 0);
      if (next >= 0) this.#arrive(this.#flights.splice(next, 1)[0]!);
      else if (busy !== undefined) this.#write(busy);
      else return;
    }
  }

  #step(node: Node<M, R>, input: Input<M>): void {
    const engine = node.engine;
    assert(engine !== undefined, 'only a node that is up does anything', { node: node.id });
    const effects = engine.step(input);
    engine.invariants();
    this.#tell(node, effects);
    const last = effects.committed.at(-1);
    if (last !== undefined) this.#step(node, { kind: 'applied', index: last.index });
  }

  #tell(node: Node<M, R>, effects: Effects<M, R>): void {
    for (const { name, fields } of effects.trace) this.#say(`${node.id} ${name}${describe(fields)}`);
    if (effects.persist !== undefined) {
      const { io, records } = effects.persist;
      node.writing.push({ io, records });
      for (const record of records) note(node, record);
      this.#say(`${node.id} writes ${describeRecords(records)}`);
    }
    for (const envelope of effects.send) this.#send(node, envelope);
    node.gated.push(...effects.sendAfter);
    for (const entry of describeEntries(effects.committed)) this.#say(`${node.id} commits ${entry}`);
    for (const { id, index } of effects.reads) this.#say(`${node.id} grants read ${id} at ${index}`);
    for (const dropped of effects.dropped) {
      this.#say(`${node.id} drops ${describeDropped(dropped)}: ${dropped.reason}`);
    }
    for (const id of effects.completed) this.#say(`${node.id} completes control request ${id}`);
    for (const { to } of effects.snapshots) this.#say(`${node.id} wants a snapshot sent to ${to}`);
  }

  #send(node: Node<M, R>, { to, message }: Envelope<M>): void {
    this.#flights.push({ from: node.id, to, message });
    const { kind, ...fields } = withoutWrapping(message as { kind: string });
    this.#say(`${node.id}→${to} ${kind}${describe(fields)}`);
  }

  #showLogs(): void {
    for (const { id, engine, entries } of this.#nodes) {
      if (engine === undefined) this.#say(`${id} is down`);
      else {
        const terms = [...entries].sort(([a], [b]) => a - b).map(([, entry]) => entry.term);
        this.#say(`${id} [${describeTerms(terms)}] (${engine.status.commitIndex}) ${engine.status.role}`);
      }
    }
  }

  #say(text: string): void {
    this.#lines.push(`  ${text}`);
  }

  #node(id: string | number | undefined): Node<M, R> {
    const node = this.#nodes[Number(id) - 1];
    assert(node !== undefined, 'a command names a node of the group', { id });
    return node;
  }
}

/** A Raft entry replaces what stood at its index and after it, a vote what stood in its slot. */
function note<M, R>(node: Node<M, R>, record: R): void {
  const { kind, entry } = record as { kind: string; entry?: Entry };
  if (entry === undefined) return;
  if (kind === 'entry')
    for (const index of [...node.entries.keys()]) if (index >= entry.index) node.entries.delete(index);
  node.entries.set(entry.index, entry);
}

/** Electors' messages travel inside the engine's. */
function withoutWrapping(message: { readonly kind: string }): { readonly kind: string } {
  return message.kind === 'elector' ? (message as unknown as { message: { kind: string } }).message : message;
}
