/** How a verb finds its cluster. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { toAddress } from '../../../core/base/brand.ts';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { FakeCluster } from '../../../system/client/fake-cluster.test-support.ts';
import { connect } from './connect.ts';

test('a first master that hangs, and takes connections all the same, does not keep the others from being asked', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'cairn-connect-'));
  const cluster = await FakeCluster.startOn(nodeEnv({ dir: scratch }));
  const held: Socket[] = [];
  const hanging = createServer((socket) => held.push(socket.on('error', () => undefined)));
  await once(hanging.listen(0, '127.0.0.1'), 'listening');
  const first = toAddress(`127.0.0.1:${(hanging.address() as AddressInfo).port}`);
  try {
    const cairn = await connect([first, cluster.master.address], [first], 20_000);
    expect((await cairn.stat('/')).isDirectory()).toBe(true);
    await cairn.close();
    await expect(connect([first], [first], 1500)).rejects.toMatchObject({ code: 'NO_QUORUM' });
  } finally {
    for (const socket of held) socket.destroy();
    hanging.close();
    await cluster.stop();
    rmSync(scratch, { recursive: true });
  }
});
