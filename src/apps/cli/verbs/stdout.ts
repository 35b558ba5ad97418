/** Bytes to stdout, at the pace of whoever reads them. */
import { once } from 'node:events';

export async function writeOut(bytes: Uint8Array | string): Promise<void> {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
}
