/** `cairn://host:port,host:port`: where a cluster's masters are. */
import { type Address, toAddress } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';

export const portDefault = 7070;
const mastersMax = 64;
const scheme = 'cairn://';

/** @throws CairnError INVALID_ARGUMENT */
export function parseClusterUrl(url: string): readonly Address[] {
  if (!url.startsWith(scheme)) throw wrong(url, `a cluster is named by ${scheme}host:port`);
  const rest = url.slice(scheme.length).replace(/\/$/, '');
  const masters = rest.split(',').map((part) => parseMaster(url, part.trim()));
  if (masters.length > mastersMax) throw wrong(url, `more than ${mastersMax} masters`);
  return [...new Set(masters)];
}

function parseMaster(url: string, text: string): Address {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]@?#]+)(?::(\d{1,5}))?$/.exec(text);
  const port = match?.[2] === undefined ? portDefault : Number(match[2]);
  if (match === null || port < 1 || port > 65_535) throw wrong(url, `${text || 'nothing'} is not host:port`);
  return toAddress(`${match[1]}:${port}`);
}

function wrong(url: string, why: string): CairnError {
  return new CairnError(
    'INVALID_ARGUMENT',
    `${url.slice(0, 200)}: ${why}; write cairn://host:port, with a comma between several masters`,
  );
}
