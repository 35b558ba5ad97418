/** Whether a local cluster's directories and ports are free, before anything is started: what is in use is told at once, and by whom. */
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import { lockDirectory } from '../../../platform/node/directory-lock.ts';
import { dataDirectory, type Layout } from './layout.ts';

/** The processes of an `up` that was killed end by themselves within this. */
const leaversMaxMs = 10_000;
const pollMs = 50;

/** @throws CairnError DIR_IN_USE, PORT_IN_USE */
export async function requireFree({ nodes, isNew }: Layout): Promise<void> {
  for (const node of nodes) await untilUnlocked(dataDirectory(node));
  const advice = isNew ? 'give another --port-base, or stop its owner' : 'stop its owner';
  for (const { address } of nodes) await requireFreePort(address, advice);
}

async function untilUnlocked(dir: string): Promise<void> {
  const until = Date.now() + leaversMaxMs;
  while (existsSync(dir)) {
    try {
      await (await lockDirectory(dir)).release();
      return;
    } catch (thrown) {
      if (toCairnError(thrown).code !== 'DIR_IN_USE' || Date.now() > until) throw thrown;
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function requireFreePort(address: string, advice: string): Promise<void> {
  const colon = address.lastIndexOf(':');
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'is in use' : `cannot be listened at (${cause.code})`;
      reject(new CairnError('PORT_IN_USE', `${address} ${why}; ${advice}`, { cause }));
    });
    server.listen(Number(address.slice(colon + 1)), address.slice(0, colon), () => server.close(() => resolve()));
  });
}
