/**
 * The master's metadata as a deterministic state machine: a pure function of the log, over any ordered store. Dispatch only; the
 * commands are in namespace.ts, chunks.ts and discard.ts, what they write in records.ts.
 */
import { unreachable } from '../../../core/base/assert.ts';
import type { ChunkHandle, InodeId } from '../../../core/base/brand.ts';
import { CairnError } from '../../../core/base/errors.ts';
import { ok, type Result, refused } from '../../../core/base/result.ts';
import type { ApplyContext, StateMachine } from '../../rsm/state-machine.ts';
import type { OrderedStore } from '../../storage/ordered-store.ts';
import { set } from './attributes.ts';
import * as chunks from './chunks.ts';
import {
  bookedResult,
  type Command,
  type CommandOf,
  decodeCommand,
  doneResult,
  emptiedResult,
  encodeResult,
  grantResult,
  handlesResult,
  laidOutResult,
  madeResult,
  openResult,
  reapResult,
  restoredResult,
} from './commands.ts';
import * as copies from './copies.ts';
import { reap } from './discard.ts';
import { fileSnapshot } from './file-snapshot.ts';
import * as namespace from './namespace.ts';
import { type ChunkRecord, metadataFormatVersion } from './records.ts';
import * as roster from './roster-changes.ts';
import { checkSettings, settingsOf } from './settings.ts';
import { rootInode, Tables, trashInode } from './tables.ts';
import type { Transition } from './transition.ts';
import * as trash from './trash.ts';
import { truncate } from './truncate.ts';

/**
 * By which commands are applied. Masters compare it when they meet, for by different rules they come to different states from one log.
 * Raised whenever two versions may differ in what they make of a command in some state, however rare: a command that is new, one that
 * does something else. If that command may be in a log already, `metadataFormatVersion` is raised as well: each master applies from where
 * its own store was flushed, so that some would have done by the old rules what others do by the new ones.
 */
export const metadataRules = 3;

export class MetadataMachine implements StateMachine {
  #tables: Tables | undefined;
  /** Told of each chunk that leaves the table. */
  chunkRemoved: (handle: ChunkHandle, chunk: ChunkRecord) => void = () => {};
  /** Told of each file of which chunks are cut off that leave the table later. */
  chunksCutOff: (file: InodeId) => void = () => {};
  /** Told when the roster of masters may have changed, before the command is carried out whole. */
  rosterChanged: () => void = () => {};
  /** Told of each file whose attributes may have changed, before the command is carried out whole; set by whoever leads. */
  fileChanged: (id: InodeId) => void = () => {};
  /** Told of each chunk that gets another set of servers. */
  setChanged: Tables['setChanged'] = () => {};
  /** Told when the state is another one, with chunks in it of which it is not known how they came there. */
  wasReplaced: () => void = () => {};

  /** The state, for reading. Valid until the next `reset`. */
  get tables(): Tables {
    if (this.#tables === undefined)
      throw new CairnError('UNAVAILABLE', 'the metadata is not open yet; try again later');
    return this.#tables;
  }

  get rules(): number {
    return metadataRules;
  }

  /** @throws CairnError WRONG_FORMAT */
  reset(store: OrderedStore): void {
    const tables = new Tables(store);
    const found = tables.identity?.formatVersion ?? metadataFormatVersion;
    if (found !== metadataFormatVersion)
      throw new CairnError(
        'WRONG_FORMAT',
        `the metadata has format ${found}, this program reads ${metadataFormatVersion}; run the version that wrote it`,
      );
    tables.fileChanged = (id) => this.fileChanged(id);
    tables.setChanged = (...change) => this.setChanged(...change);
    tables.roster.changed = () => this.rosterChanged();
    this.#tables = tables;
    if (tables.counters.nextHandle > 1) this.wasReplaced();
    this.rosterChanged();
  }

  /** Puts what is kept in memory into the store, before it is flushed or frozen. */
  save(): void {
    this.tables.save();
  }

  apply(bytes: Uint8Array, context: ApplyContext): Uint8Array {
    let command: Command;
    try {
      command = decodeCommand(bytes);
    } catch (thrown) {
      if (!(thrown instanceof CairnError)) throw thrown;
      return encodeResult(doneResult, refused(thrown.code, thrown.message));
    }
    const t: Transition = {
      tables: this.tables,
      now: Math.floor(context.time),
      chunkRemoved: (handle, chunk) => this.chunkRemoved(handle, chunk),
      chunksCutOff: (file) => this.chunksCutOff(file),
    };
    if (t.tables.identity === undefined && command.kind !== 'initialise')
      return encodeResult(doneResult, refused('UNAVAILABLE', 'the cluster is not initialised yet; try again later'));
    return carryOut(t, command);
  }
}

function carryOut(t: Transition, command: Command): Uint8Array {
  switch (command.kind) {
    case 'initialise':
      return encodeResult(doneResult, initialise(t, command));
    case 'openForWrite':
      return encodeResult(openResult, namespace.openForWrite(t, command));
    case 'mkdir':
      return encodeResult(madeResult, namespace.mkdir(t, command));
    case 'remove':
      return encodeResult(doneResult, namespace.remove(t, command));
    case 'rename':
      return encodeResult(doneResult, namespace.rename(t, command));
    case 'set':
      return encodeResult(madeResult, set(t, command));
    case 'truncate':
      return encodeResult(madeResult, truncate(t, command));
    case 'discard':
      return encodeResult(doneResult, trash.discardPath(t, command));
    case 'restore':
      return encodeResult(restoredResult, trash.restore(t, command));
    case 'emptyTrash':
      return encodeResult(emptiedResult, trash.emptyTrash(t, command));
    case 'fileSnapshot':
      return encodeResult(madeResult, fileSnapshot(t, command));
    case 'addChunk':
      return encodeResult(grantResult, chunks.addChunk(t, command));
    case 'adjoinChunk':
      return encodeResult(grantResult, chunks.adjoinChunk(t, command));
    case 'grant':
      return encodeResult(grantResult, chunks.grant(t, command));
    case 'recordLengths':
      return encodeResult(doneResult, chunks.recordLengths(t, command));
    case 'recordCuts':
      return encodeResult(doneResult, chunks.recordCuts(t, command));
    case 'addReplica':
      return encodeResult(doneResult, chunks.addReplica(t, command));
    case 'exclude':
      return encodeResult(doneResult, chunks.exclude(t, command));
    case 'takeHandles':
      return encodeResult(handlesResult, chunks.takeHandles(t, command));
    case 'splitChunk':
      return encodeResult(doneResult, chunks.splitChunk(t, command));
    case 'registerServer':
      return encodeResult(doneResult, chunks.registerServer(t, command));
    case 'drainServer':
      return encodeResult(doneResult, chunks.drainServer(t, command));
    case 'foundMasters':
      return encodeResult(doneResult, roster.foundMasters(t, command));
    case 'bookMaster':
      return encodeResult(bookedResult, roster.bookMaster(t, command));
    case 'moveMaster':
      return encodeResult(doneResult, roster.moveMaster(t, command));
    case 'dropMaster':
      return encodeResult(doneResult, roster.dropMaster(t, command));
    case 'reap':
      return encodeResult(reapResult, reap(t, command));
    case 'layOut':
      return encodeResult(laidOutResult, copies.layOut(t, command));
    case 'layOutNames':
      return encodeResult(laidOutResult, copies.layOutNames(t, command));
    case 'settlePath':
      copies.settlePath(t, command.path);
      return encodeResult(doneResult, ok({}));
    case 'settleFile':
      copies.settleFile(t, command.inode, command.index);
      return encodeResult(doneResult, ok({}));
    default:
      return unreachable(command);
  }
}

/** Repeated by each new leader until it has succeeded once: the same cluster is fine, another one is not. */
function initialise(t: Transition, command: CommandOf<'initialise'>): Result<Record<never, never>> {
  const { identity, counters } = t.tables;
  if (identity !== undefined)
    return identity.clusterId === command.clusterId
      ? ok({})
      : refused('WRONG_CLUSTER', `these masters belong to cluster ${identity.clusterId}, not to ${command.clusterId}`);
  const wrong = checkSettings(command);
  if (wrong !== undefined) return wrong;
  t.tables.putIdentity({ formatVersion: metadataFormatVersion, clusterId: command.clusterId });
  const root = {
    kind: 'directory',
    createdAt: t.now,
    modifiedAt: t.now,
    ...settingsOf(command),
    parent: 0,
    name: '',
    entries: 0,
  } as const;
  t.tables.putInode(rootInode, root);
  t.tables.putInode(trashInode, root);
  counters.directories = 1;
  return ok({});
}
