/** What clients do to files that others append to and cut at the same time. */
import type { CairnClient } from '../../system/client/client.ts';
import type { FileHandle } from '../../system/client/file-handle.ts';
import type { CutLog } from './cut-log.ts';
import { drawRecordBytes } from './draw-record-bytes.ts';
import type { Step, StepMaker } from './step.ts';

const appendsMax = 4;

export function cutStep(maker: StepMaker): Step {
  const log = maker.random.pick(maker.ledger.cutLogs);
  const ticket = maker.random.below(10);
  if (ticket < 2) return cut(maker, log);
  return (ticket < 4 ? readSure(maker, log) : undefined) ?? append(maker, log);
}

/** Kept open by a client for all its life: what it knows of the file is as old as its last call. */
const openFiles = new WeakMap<CairnClient, Map<string, Promise<FileHandle>>>();

function keptOpen(client: CairnClient, path: string): Promise<FileHandle> {
  const ofClient = openFiles.get(client) ?? new Map<string, Promise<FileHandle>>();
  openFiles.set(client, ofClient);
  const known = ofClient.get(path);
  if (known !== undefined) return known;
  const opening = client.open(path, 'a');
  ofClient.set(path, opening);
  opening.catch(() => ofClient.delete(path));
  return opening;
}

function append(maker: StepMaker, log: CutLog): Step {
  const count = maker.random.between(1, appendsMax);
  const records = Array.from({ length: count }, () =>
    log.begin(maker.id, maker.nextRecord(), drawRecordBytes(maker, count)),
  );
  const isKeptOpen = maker.random.chance(0.6);
  const list = records.map(({ id, bytes }) => `${id} (${bytes.length} bytes)`).join(', ');
  return {
    what: `append ${list} to ${log.path}${isKeptOpen ? ', kept open' : ''}`,
    run: async (client) => {
      const handle = isKeptOpen ? await keptOpen(client, log.path) : undefined;
      const all = records.map(async (record) => {
        const offset =
          handle === undefined ? client.recordAppend(log.path, record.bytes) : handle.recordAppend(record.bytes);
        log.acknowledged(record, await offset);
        maker.ledger.counts.records += 1;
      });
      const failed = (await Promise.allSettled(all)).find((one) => one.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
    unknown: () => {},
  };
}

/** Also by opening it with `w`. */
function cut({ random, ledger }: StepMaker, log: CutLog): Step {
  const size = log.drawSize(random);
  const isOpened = size === 0 && random.chance(0.5);
  return {
    what: isOpened ? `open ${log.path} with w` : `truncate ${log.path} to ${size}`,
    run: async (client) => {
      const begun = log.beginCut(size);
      if (isOpened) await emptied(client, log.path);
      else await client.truncate(log.path, size);
      log.cutEnded(begun);
      ledger.counts.cuts += 1;
    },
    unknown: () => {},
  };
}

async function emptied(client: CairnClient, path: string): Promise<void> {
  const handle = await client.open(path, 'w');
  await handle.close();
}

function readSure({ random }: StepMaker, log: CutLog): Step | undefined {
  const record = log.pickSure(random);
  if (record === undefined) return undefined;
  const { id, offset, bytes } = record;
  return {
    what: `read record ${id} at ${offset} of ${log.path}`,
    run: async (client) => {
      log.checkRecord(record, await client.readFile(log.path, { start: offset, length: bytes.length }));
    },
    unknown: () => {},
  };
}
