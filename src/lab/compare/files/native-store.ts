/** Cairn by its own client. */
import { tmpdir } from 'node:os';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { CairnClient } from '../../../system/client/client.ts';
import { parseClusterUrl } from '../../../system/client/cluster-url.ts';
import type { FileStore } from './file-store.ts';

const deadlineMs = 60_000;

export async function openNativeStore(url: string): Promise<FileStore> {
  const client = await CairnClient.start(nodeEnv({ dir: tmpdir() }), parseClusterUrl(url), { deadlineMs });
  return {
    makeDirectory: async (path) => void (await client.mkdir(path)),
    write: async (path, pieces) => void (await client.writeFile(path, pieces)),
    create: async (path, content) => void (await client.writeFile(path, content, { flags: 'wx' })),
    read: async (path) => {
      let bytes = 0;
      for await (const piece of client.readStream(path, { reuseMemory: true })) bytes += piece.length;
      return bytes;
    },
    stat: async (path) => void (await client.stat(path)),
    rename: (from, to) => client.rename(from, to),
    remove: (path) => client.rm(path, { trash: false }),
    removeTree: (path) => client.rm(path, { recursive: true, trash: false }),
    openToRead: async (path) => {
      const file = await client.open(path, 'r');
      return {
        readAt: async (into, position) => (await file.read(into, { position })).bytesRead,
        close: () => file.close(),
      };
    },
    openToWrite: async (path) => {
      const file = await client.open(path, (await client.exists(path)) ? 'r+' : 'w');
      return {
        writeAt: async (bytes, position) => void (await file.write(bytes, { position })),
        close: () => file.close(),
      };
    },
    openToAppend: async (path, durable) => {
      const file = await client.open(path, 'a', { durability: durable ? 'disk' : 'memory' });
      return { append: (bytes) => file.append(bytes), close: () => file.close() };
    },
    close: () => client.close(),
  };
}
