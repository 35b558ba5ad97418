/** The data plane: mutation order, leases, windows, recovery, damage. Each but one is noticed by claims beside the code, on simulated networks and disks. */
import type { Mutant } from './mutant.ts';

const server = 'src/system/chunkserver';

interface Short {
  readonly id: string;
  readonly bug: string;
  readonly seen?: string;
  /** Of the chunkserver: the file, what is in it, what comes in its place. */
  readonly edits: readonly (readonly [file: string, find: string, replace: string])[];
  readonly test: string;
}

const table: readonly Short[] = [
  {
    id: 'data-skips-a-secondary',
    bug: 'the first secondary is never sent a mutation, nor waited for',
    edits: [
      ['replicate.ts', 'mutation.missing += 1 + links.length;', 'mutation.missing += Math.max(1, links.length);'],
      [
        'replicate.ts',
        'for (const link of links) {\n    pooled?.retain();',
        'for (const link of links.slice(1)) {\n    pooled?.retain();',
      ],
    ],
    test: 'mutations.test.ts',
  },
  {
    id: 'data-acknowledges-early',
    bug: 'the client is answered when the first replica holds the mutation',
    edits: [
      [
        'acknowledgements.ts',
        'if (mutation.arrived()) this.#settle(mutation);',
        'mutation.arrived();\n    this.#settle(mutation);',
      ],
    ],
    test: 'growth.test.ts',
  },
  {
    id: 'data-reorders',
    bug: 'a secondary carries out mutations in whatever order they come',
    edits: [
      ['secondary.ts', 'present.version < version || present.serial + 1 !== serial', 'present.version < version'],
    ],
    test: 'secondary.test.ts',
  },
  {
    id: 'data-repeats-a-serial',
    bug: 'a secondary carries out a serial again that it has carried out before',
    edits: [
      [
        'secondary.ts',
        'present.version === version && present.serial >= serial',
        'present.version === version && present.serial > serial',
      ],
    ],
    test: 'secondary.test.ts',
  },
  {
    id: 'data-serves-without-a-session',
    bug: 'a server that is cut off from the masters serves on',
    edits: [['session.ts', 'if (!this.isValid) {', 'if (this.leftMs < 0) {']],
    test: 'failures.test.ts',
  },
  {
    id: 'data-forgets-its-window',
    bug: 'a new primary knows nothing of the appends before it',
    edits: [['lease.ts', 'window: store.windowOf(this.handle)', 'window: []']],
    test: 'failures.test.ts',
  },
  {
    id: 'data-takes-the-forgotten-for-new',
    bug: 'a retry whose writer has fallen out of the window since is appended again',
    edits: [
      [
        'append-window.ts',
        "return own === undefined || sequence < own.landed.lowest ? 'forgotten' : undefined;",
        'return undefined;',
      ],
    ],
    test: 'failures.test.ts',
  },
  {
    id: 'data-half-a-copy-has-forgotten-nothing',
    bug: 'a copy that is not whole knows nothing of a writer of whom only the copy had some appends, and does not say so',
    edits: [['half-window.ts', 'strange.size > 0 || isFull ? [version] : []', 'isFull ? [version] : []']],
    test: 'copying.test.ts',
  },
  {
    id: 'data-window-stays-at-the-primary',
    bug: 'secondaries are not told which appends they hold',
    edits: [
      [
        'replicate.ts',
        'serial, offset, bytes, crc, lengthBytes, window, isCut',
        'serial, offset, bytes, crc, lengthBytes, window: [], isCut',
      ],
    ],
    test: 'storm.test.ts',
  },
  {
    id: 'data-old-grant-begins-anew',
    bug: 'a chunk that is not here begins under a grant that may be older than the process: it may have been removed before',
    edits: [['leases.ts', "isOfNow ? 'here' : 'doubtful'", "'here'"]],
    test: 'failures.test.ts',
  },
  {
    id: 'data-image-does-not-fence',
    bug: 'a replica that has shown its image to a new primary still takes mutations of the old one',
    edits: [
      [
        'image-calls.ts',
        '    mustNotBePast(world, handle, fence);\n    fences.raise(handle, fence);',
        '    mustNotBePast(world, handle, fence);',
      ],
    ],
    test: 'secondary.test.ts',
  },
  {
    id: 'data-secondary-takes-what-is-damaged',
    bug: 'a secondary does not look at the checksum of what its primary sends',
    edits: [
      [
        'secondary.ts',
        'bytes.length === order.bytes && this.#world.env.crc32(bytes) === order.crc',
        'bytes.length === order.bytes',
      ],
    ],
    test: 'secondary.test.ts',
  },
  {
    id: 'data-primary-takes-what-is-damaged',
    bug: 'a primary does not look at the checksum of what a client sends',
    edits: [['mutate.ts', 'if (sum !== crc) {', 'if (sum !== sum) {']],
    test: 'hostile.test.ts',
  },
  {
    id: 'data-recovers-from-the-hindmost',
    bug: 'the new primary takes the contents of the member that is furthest behind',
    edits: [
      [
        'recovery.ts',
        'return a.version > b.version || (a.version === b.version && a.serial > b.serial);',
        'return a.version < b.version || (a.version === b.version && a.serial < b.serial);',
      ],
    ],
    test: 'failures.test.ts',
  },
  {
    id: 'data-does-not-take-what-others-have',
    bug: 'a new primary that is behind makes the others equal to itself all the same',
    edits: [
      ['recovery.ts', 'if (ahead !== undefined) await copyFrom(', 'if (ahead?.image.version === 0) await copyFrom('],
    ],
    test: 'failures.test.ts',
  },
  {
    id: 'data-failed-member-counts',
    bug: 'the answer of a secondary that has failed counts as an acknowledgement',
    edits: [
      [
        'lease.ts',
        '    if (error === undefined) this.#arrived(mutation, version);\n    else if (version',
        "    if (error === undefined || error.code !== 'EXISTS') this.#arrived(mutation, version);\n    else if (version",
      ],
    ],
    test: 'failures.test.ts',
  },
  {
    id: 'data-appends-over-what-is-under-way',
    bug: 'a mutation is placed behind what is acknowledged, not behind what is ordered',
    edits: [
      ['mutation-order.ts', 'give(mutation: Mutation):', 'give(mutation: Mutation, acknowledgedBytes: number):'],
      [
        'mutation-order.ts',
        '    const placement = this.#place(',
        '    this.#lengthBytes = acknowledgedBytes;\n    const placement = this.#place(',
      ],
      ['lease.ts', 'this.#order.give(mutation)', 'this.#order.give(mutation, this.acknowledgedLength)'],
    ],
    test: 'mutations.test.ts',
  },
  {
    id: 'data-damage-is-not-told',
    bug: 'a damaged replica is not reported to the master',
    edits: [['inventory.ts', 'return [...this.#unreported].slice(0, inventoryPageMax);', 'return [];']],
    test: 'scrubber.test.ts',
  },
  {
    id: 'data-damage-is-told-once',
    bug: 'a damaged replica is reported once, to a master that may not count on it yet',
    edits: [['inventory.ts', '  #reportDamageAgain(): void {', '  #reportDamageAgain(): void {\n    return;']],
    test: 'orders.test.ts',
  },
  {
    id: 'data-goes-on-after-a-failed-write',
    bug: 'a chunk of which a mutation could not be written takes the next one',
    edits: [
      [
        'chunk-writer.ts',
        '        if (error !== undefined) this.#broken.set(handle, error);\n        write.written(error);',
        '        write.written(undefined);',
      ],
    ],
    test: 'failures.test.ts',
  },
  {
    id: 'data-closes-too-soon',
    bug: 'a lease is given back while mutations are under way',
    edits: [
      ['lease.ts', '    while (this.#acknowledgements.pending > 0) await this.#acknowledgements.whenQuiet();\n', ''],
    ],
    test: 'orders.test.ts',
  },
  {
    id: 'data-forgotten-means-new',
    bug: 'an append that lies too far back to be known is carried out again',
    edits: [
      [
        'placing.ts',
        "    if (known === 'forgotten') throw forgotten(sequence);\n    if (known !== undefined) {",
        "    if (known !== undefined && known !== 'forgotten') {",
      ],
    ],
    test: 'failures.test.ts',
  },
  {
    id: 'data-resizes-again',
    bug: 'a resize that is repeated is done again, and cuts what was appended since',
    edits: [['placing.ts', '  if (known !== undefined) return undefined;\n  const offset', '  const offset']],
    test: 'resizes.test.ts',
  },
  {
    id: 'data-length-never-shrinks',
    bug: 'the length that is told to readers does not follow a cut',
    edits: [
      [
        'acknowledgements.ts',
        'this.#lengthBytes = mutation.placement.lengthBytes;',
        'this.#lengthBytes = Math.max(this.#lengthBytes, mutation.placement.lengthBytes);',
      ],
    ],
    test: 'resizes.test.ts',
  },
  {
    id: 'data-lag-has-no-bound',
    bug: 'mode async acknowledges however far the others lag behind',
    edits: [['acknowledgements.ts', 'this.#lagBytes < this.#lagBytesMax', 'this.#lagBytes >= 0']],
    test: 'modes.test.ts',
  },
  {
    id: 'data-acknowledges-alone-without-a-session',
    bug: 'mode async acknowledges what the primary alone holds when another one may have taken its place',
    edits: [['acknowledgements.ts', ' && this.#by.mayAlone()', '']],
    test: 'modes.test.ts',
  },
  {
    id: 'data-gfs-goes-on-under-a-newer-grant',
    bug: 'mode gfs acknowledges under a newer version what not every member holds',
    edits: [
      [
        'lease.ts',
        "if (this.#set.grant.mode === 'gfs' && this.#state",
        "if (this.#set.grant.mode === 'async' && this.#state",
      ],
      ['in-sync-set.ts', ' || this.#holder.pending() > 0;', ';'], // else what is under way would be made equal first
    ],
    test: 'modes.test.ts',
  },
  {
    id: 'data-async-waits-for-all',
    bug: 'mode async acknowledges only when all replicas hold the mutation',
    edits: [['lease.ts', "if (this.#set.grant.mode === 'async' &&", "if (this.#set.grant.mode === 'gfs' &&"]],
    test: 'modes.test.ts',
  },
  {
    id: 'data-sends-on-early',
    bug: 'who does not fit into a chunk is sent on to the next while what fills this one is not held by every member',
    edits: [
      [
        'lease.ts',
        'if (placement === undefined && mutation.isSentOn) this.#acknowledgements.sentOn(mutation);\n',
        '\n',
      ],
    ],
    test: 'modes.test.ts',
  },
  {
    id: 'data-gfs-acknowledges-what-was-strong',
    bug: 'what was ordered in another mode is acknowledged under the first grant of mode gfs, whoever has it',
    edits: [['in-sync-set.ts', ' || this.#holder.pending() > 0;', ';']],
    test: 'modes.test.ts',
  },
  {
    id: 'data-scrubber-trusts-open-files',
    bug: "the scrubber looks at the file that is open, not at the one under the chunk's name",
    edits: [['../storage/chunks/reader.ts', '    if (state.lengthBytes > 0) this.#parts.files.reopen(state);\n', '']],
    test: 'scrubber.test.ts',
  },
  {
    id: 'data-old-grant-outlives-a-restart',
    bug: 'a grant that was used before a restart is good after it',
    edits: [
      ['leases.ts', 'const isUsed = info?.version === version || ', 'const isUsed = '],
      ['recovery.ts', '  throwIfBegun(members, handle, version);\n', ''],
    ],
    test: 'failures.test.ts',
  },
  {
    id: 'data-half-copy-forgets',
    bug: 'half a copy does not know the records whose bytes it has got',
    edits: [['half-window.ts', ' || (entry.lengthBytes > 0 && endOf(entry) <= equalBytes)', '']],
    test: 'half-copy.test.ts',
  },
  {
    id: 'data-half-copy-ends-in-a-record',
    bug: 'half a copy ends with a block, in the middle of a record',
    edits: [
      ['half-window.ts', 'cut.length > 0; cut = this.#cutAt(end)) {', 'cut.length < 0; cut = this.#cutAt(end)) {'],
    ],
    test: 'half-copy.test.ts',
  },
  {
    id: 'data-splits-an-earlier-version',
    bug: 'a replica of an earlier version is split, and has the version of the others from then on',
    seen: 'GFS §3.4, §4.5',
    edits: [['splitting.ts', '  mustNotBeOlder(image, version, length);\n', '']],
    test: 'splitting.test.ts',
  },
];

/** Of the client: what was sent later arrives earlier, over another connection. */
const overtaking: Mutant = {
  id: 'data-appends-overtake',
  bug: 'a frame of records is sent over another connection than the one before it',
  seen: 'GFS §3.3',
  trial: { kind: 'tests', files: ['src/lab/data-plane/bad-cases.test.ts'] },
  edits: [
    {
      file: 'src/system/client/append-queue.ts',
      find: '    if (before !== undefined && before.connection !== connection)',
      replace: '    if (before !== undefined && before.connection !== connection && way === before)',
    },
  ],
};

/** Of the master: whole clusters notice it, whose clients keep files open that others cut. */
const cutChunks: Mutant = {
  id: 'data-cut-chunks-take-mutations',
  bug: 'a cut is answered while the primary of a chunk that the file has lost takes mutations still',
  seen: 'canonical',
  trial: { kind: 'clusters', engine: 'raft' },
  edits: [
    {
      file: 'src/system/master/cut-chunks.ts',
      find: '    for (const [handle, chunk] of removed) this.#close(handle, chunk);\n',
      replace: '',
    },
  ],
};

const besideTheCode: readonly Mutant[] = table.map(({ id, bug, seen = 'GFS §2.7, §3.1–3.3', edits, test }) => ({
  id,
  bug,
  seen,
  trial: { kind: 'tests', files: [`${server}/${test}`] },
  edits: edits.map(([file, find, replace]) => ({ file: place(file), find, replace })),
}));

export const dataPlane: readonly Mutant[] = [...besideTheCode, overtaking, cutChunks];

function place(file: string): string {
  return file.startsWith('../') ? `src/system/${file.slice(3)}` : `${server}/${file}`;
}
