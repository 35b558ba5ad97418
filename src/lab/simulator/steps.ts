/** What a client does next: drawn, with its effect on the model. */
import { CairnError, type ErrorCode } from '../../core/base/errors.ts';
import type { CairnClient } from '../../system/client/client.ts';
import { cutStep } from './cut-steps.ts';
import { drawRecordBytes } from './draw-record-bytes.ts';
import { payload } from './payload.ts';
import type { SharedLog, SharedRecord } from './shared-log.ts';
import { takeFileSnapshot, takeLogSnapshot } from './snapshot-steps.ts';
import type { Step, StepMaker } from './step.ts';
import { mustEqualBytes, mustHold } from './violation.ts';

type Draw = (maker: StepMaker) => Step | undefined;

/** Beyond so many things a client removes rather than adds. */
const itemsMax = 30;
const depthMax = 4;
const batchMax = 8;
/** Fragments of larger ones take long to be recognised. */
const gfsRecordMaxBytes = 2_000;

const draws: readonly (readonly [weight: number, draw: Draw])[] = [
  [12, appendShared],
  [4, readShared],
  [6, writeWhole],
  [4, writeAt],
  [3, appendOwn],
  [3, truncate],
  [4, readWhole],
  [3, readRange],
  [3, makeDirectory],
  [3, listDirectory],
  [3, rename],
  [2, remove],
  [2, race],
  [2, refused],
  [1, copyFile],
  [2, takeFileSnapshot],
  [1, takeLogSnapshot],
];
/** Of the steps of a run that has files to cut. */
const cutShare = 0.3;
const weights = draws.reduce((sum, [weight]) => sum + weight, 0);

export function drawStep(maker: StepMaker): Step {
  if (maker.ledger.cutLogs.length > 0 && maker.random.chance(cutShare)) return cutStep(maker);
  for (;;) {
    let ticket = maker.random.below(maker.tree.size > itemsMax ? weights + 20 : weights);
    if (ticket >= weights) {
      const step = remove(maker);
      if (step !== undefined) return step;
      continue;
    }
    const [, draw] = draws.find(([weight]) => {
      ticket -= weight;
      return ticket < 0;
    })!;
    const step = draw(maker);
    if (step !== undefined) return step;
  }
}

// ------------------------------------------------------------------ together

function appendShared(maker: StepMaker): Step {
  const { random, ledger } = maker;
  const log = random.pick(ledger.logs);
  const count = random.chance(0.5) ? 1 : random.between(2, batchMax);
  const recordMax = log.mode === 'gfs' ? gfsRecordMaxBytes : Number.POSITIVE_INFINITY;
  const records = Array.from({ length: count }, () =>
    log.begin(maker.id, maker.nextRecord(), Math.min(recordMax, drawRecordBytes(maker, count))),
  );
  const what = `append ${records.map(({ id, bytes }) => `${id} (${bytes.length} bytes)`).join(', ')} to ${log.path}`;
  return {
    what,
    run: async (client) => {
      const all = records.map((record) => appendRecord(maker, client, log, record));
      const failed = (await Promise.allSettled(all)).find((one) => one.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
    unknown: () => {}, // each record has an offset, or it may be there once
  };
}

async function appendRecord(
  maker: StepMaker,
  client: CairnClient,
  log: SharedLog,
  record: SharedRecord,
): Promise<void> {
  log.acknowledged(record, await client.recordAppend(log.path, record.bytes));
  maker.ledger.counts.records += 1;
  maker.ledger.counts.bytes += record.bytes.length;
}

/** What was acknowledged to anybody is there for everybody. */
function readShared(maker: StepMaker): Step | undefined {
  const { random } = maker;
  const log = random.pick(maker.ledger.logs);
  const record = log.mode === 'async' ? undefined : log.pick(random); // it may be lost
  if (record === undefined) return undefined;
  const { id, bytes } = record;
  const offset = record.offset!;
  return looking(`read record ${id} at ${offset} of ${log.path}`, async (client) => {
    if (random.chance(0.3)) {
      const { size } = await client.stat(log.path);
      mustHold(size >= offset + bytes.length, () => `${log.path} has ${size} bytes, less than was appended`);
    }
    const found = await client.readFile(log.path, { start: offset, length: bytes.length });
    mustEqualBytes(found, bytes, `record ${id}`);
  });
}

/** Of several clients that make the same file exclusively one succeeds. */
function race(maker: StepMaker): Step {
  const { random, ledger, id } = maker;
  const name = `/shared/race-${random.between(1, 20)}`;
  const isOpen = ledger.race(name).winner === undefined;
  return {
    what: `make ${name} exclusively`,
    run: async (client) => {
      const race = ledger.race(name);
      const mayBeEarlier = race.mayHave.has(id);
      race.mayHave.add(id);
      try {
        await client.writeFile(name, new Uint8Array(0), { flags: 'wx' });
      } catch (thrown) {
        if (!(thrown instanceof CairnError) || thrown.code !== 'EXISTS') throw thrown;
        if (!mayBeEarlier) race.mayHave.delete(id);
        return;
      }
      mustHold(isOpen, () => `${name} was made exclusively although client ${ledger.race(name).winner} had made it`);
      race.mayHave.delete(id);
      ledger.won(name, id);
    },
    unknown: () => {},
  };
}

// ------------------------------------------------------------------ files of one's own

function writeWhole(maker: StepMaker): Step {
  const { random, tree, ledger } = maker;
  const old = random.chance(0.3) ? tree.pickFile(random) : undefined;
  const path = old ?? tree.freshPath(random);
  const durability = old === undefined ? ledger.drawDurability(random) : tree.file(old).durability;
  const bytes = drawBytes(maker, drawLength(maker));
  const flags = old === undefined && random.chance(0.3) ? 'wx' : 'w';
  return {
    what: `write ${path}, ${bytes.length} bytes, ${flags}, ${durability}`,
    run: async (client) => {
      await client.writeFile(path, bytes, { flags, durability });
      tree.put(path, { kind: 'file', bytes, durability });
      ledger.counts.bytes += bytes.length;
    },
    unknown: () => tree.doubt(path),
  };
}

function writeAt(maker: StepMaker): Step | undefined {
  const { random, tree, ledger, chunkBytes } = maker;
  const path = tree.pickFile(random);
  if (path === undefined) return undefined;
  const { bytes, durability } = tree.file(path);
  const room = 4 * chunkBytes;
  const position = random.chance(0.2) ? random.between(0, room) : random.between(0, bytes.length);
  const part = drawBytes(maker, Math.max(1, drawLength(maker)));
  const after = new Uint8Array(Math.max(bytes.length, position + part.length));
  after.set(bytes);
  after.set(part, position);
  return {
    what: `write ${part.length} bytes at ${position} of ${path} (${bytes.length} bytes)`,
    run: async (client) => {
      const handle = await client.open(path, 'r+');
      await handle.write(part, { position });
      await handle.close();
      tree.put(path, { kind: 'file', bytes: after, durability });
      ledger.counts.bytes += part.length;
    },
    unknown: () => tree.doubtChange(path, after),
  };
}

/** Nobody else appends here, so the record lies right behind what there is, or begins the next chunk. */
function appendOwn(maker: StepMaker): Step | undefined {
  const { random, tree, chunkBytes } = maker;
  const path = tree.pickFile(random);
  if (path === undefined) return undefined;
  const { bytes, durability } = tree.file(path);
  const record = drawBytes(maker, Math.max(1, drawRecordBytes(maker, 1)));
  const left = (chunkBytes - (bytes.length % chunkBytes)) % chunkBytes;
  const place = record.length <= left ? bytes.length : bytes.length + left;
  const after = new Uint8Array(place + record.length);
  after.set(bytes);
  after.set(record, place);
  return {
    what: `append ${record.length} bytes to ${path} (${bytes.length} bytes)`,
    run: async (client) => {
      const offset = await client.recordAppend(path, record);
      mustHold(offset === place, () => `the record of ${record.length} bytes went to ${offset}`);
      tree.put(path, { kind: 'file', bytes: after, durability });
    },
    unknown: () => tree.doubtChange(path, after),
  };
}

/** Shorter or longer; what is skipped are zeros. */
function truncate(maker: StepMaker): Step | undefined {
  const { random, tree, chunkBytes } = maker;
  const path = tree.pickFile(random);
  if (path === undefined) return undefined;
  const { bytes, durability } = tree.file(path);
  const border = chunkBytes * random.between(0, 2);
  const size = random.pick([0, border, random.between(0, bytes.length), random.between(0, bytes.length + chunkBytes)]);
  const after = new Uint8Array(size);
  after.set(bytes.subarray(0, size));
  return {
    what: `truncate ${path} to ${size} (${bytes.length} bytes)`,
    run: async (client) => {
      await client.truncate(path, size);
      tree.put(path, { kind: 'file', bytes: after, durability });
    },
    unknown: () => tree.doubtChange(path, after),
  };
}

function readWhole(maker: StepMaker): Step | undefined {
  const { random, tree } = maker;
  const path = tree.pickFile(random);
  if (path === undefined) return undefined;
  const { bytes, durability } = tree.file(path);
  return looking(`read ${path}`, async (client) => {
    if (random.chance(0.3)) {
      const stats = await client.stat(path);
      mustHold(stats.size === bytes.length, () => `${path} has ${stats.size} bytes, expected ${bytes.length}`);
      mustHold(stats.durability === durability, () => `${path} is of durability ${stats.durability}`);
    }
    mustEqualBytes(await client.readFile(path), bytes, path);
  });
}

function readRange(maker: StepMaker): Step | undefined {
  const { random, tree } = maker;
  const path = tree.pickFile(random);
  if (path === undefined) return undefined;
  const { bytes } = tree.file(path);
  const start = random.between(0, bytes.length);
  const length = random.between(0, bytes.length);
  return looking(`read ${length} bytes at ${start} of ${path}`, async (client) => {
    mustEqualBytes(await client.readFile(path, { start, length }), bytes.subarray(start, start + length), path);
  });
}

function copyFile(maker: StepMaker): Step | undefined {
  const { random, tree } = maker;
  const from = tree.pickFile(random);
  if (from === undefined) return undefined;
  const to = tree.freshPath(random);
  const { bytes, durability } = tree.file(from);
  return {
    what: `copy ${from} to ${to}`,
    run: async (client) => {
      await client.cp(from, to, { durability });
      tree.put(to, { kind: 'file', bytes, durability });
    },
    unknown: () => tree.doubt(to),
  };
}

// ------------------------------------------------------------------ the tree

function makeDirectory({ random, tree }: StepMaker): Step | undefined {
  const path = tree.freshPath(random);
  if (path.split('/').length > depthMax + 1) return undefined;
  return {
    what: `mkdir ${path}`,
    run: async (client) => {
      await client.mkdir(path);
      tree.put(path, { kind: 'directory' });
    },
    unknown: () => tree.doubt(path),
  };
}

function listDirectory({ random, tree }: StepMaker): Step {
  const path = tree.pickDirectory(random);
  return looking(`list ${path}`, async (client) => tree.checkListing(path, await client.readdir(path)));
}

function rename({ random, tree }: StepMaker): Step | undefined {
  const from = tree.pickItem(random);
  if (from === undefined) return undefined;
  const isFile = tree.items.get(from)!.kind === 'file';
  const overwritten = isFile && random.chance(0.3) ? tree.pickFile(random) : undefined;
  const to = overwritten ?? tree.freshPath(random);
  if (to === from || to.startsWith(`${from}/`)) return undefined;
  return {
    what: `rename ${from} to ${to}`,
    run: async (client) => {
      await client.rename(from, to);
      tree.rename(from, to);
    },
    unknown: () => tree.doubtRename(from, to),
  };
}

function remove({ random, tree }: StepMaker): Step | undefined {
  const path = tree.pickItem(random);
  if (path === undefined) return undefined;
  return {
    what: `remove ${path}`,
    run: async (client) => {
      await client.rm(path, { recursive: true });
      tree.remove(path);
    },
    unknown: () => tree.doubt(path),
  };
}

/** Something that must be refused, and with this code. */
function refused(maker: StepMaker): Step | undefined {
  const { random, tree } = maker;
  const some = tree.pickItem(random);
  const file = tree.pickFile(random);
  const directory = tree.pickDirectory(random);
  const missing = tree.freshPath(random);
  switch (random.below(6)) {
    case 0:
      return refusing(`mkdir ${directory}`, 'EXISTS', (client) => client.mkdir(directory));
    case 1:
      return refusing(`remove ${missing}`, 'NOT_FOUND', (client) => client.rm(missing));
    case 2:
      return refusing(`read ${missing}`, 'NOT_FOUND', (client) => client.readFile(missing));
    case 3:
      if (file === undefined) return undefined;
      return refusing(`make ${file}`, 'EXISTS', (client) => client.writeFile(file, 'again', { flags: 'wx' }));
    case 4:
      if (tree.childrenOf(directory).length === 0) return undefined;
      return refusing(`remove ${directory}`, 'NOT_EMPTY', (client) => client.rm(directory));
    default:
      if (some === undefined || file === undefined || some === file || file.startsWith(`${some}/`)) return undefined;
      return refusing(`rename ${some} to ${file}`, 'EXISTS', (client) => client.rename(some, file, { replace: false }));
  }
}

// ------------------------------------------------------------------ drawing

/** A step that changes nothing. */
function looking(what: string, run: (client: CairnClient) => Promise<void>): Step {
  return { what, run, unknown: () => {} };
}

function refusing(what: string, code: ErrorCode, run: (client: CairnClient) => Promise<unknown>): Step {
  return looking(`${what}, to be refused`, async (client) => {
    let answer = 'nothing';
    try {
      await run(client);
    } catch (thrown) {
      if (!(thrown instanceof CairnError) || thrown.retry !== 'never' || thrown.code === 'SESSION_EXPIRED')
        throw thrown;
      answer = thrown.code;
    }
    mustHold(answer === code, () => `refused with ${answer} instead of ${code}`);
  });
}

function drawLength({ random, chunkBytes }: StepMaker): number {
  if (random.chance(0.1)) return 0;
  if (random.chance(0.6)) return random.between(1, 5_000);
  return random.between(1, random.chance(0.3) ? 3 * chunkBytes : 100_000);
}

function drawBytes({ random }: StepMaker, length: number): Uint8Array {
  return payload(random.u32(), length);
}
