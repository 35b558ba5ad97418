/** The experiments, in the order in which `cairn lab all` runs them. */
import { consensus } from './consensus/consensus.ts';
import { disk } from './disk/disk.ts';
import type { Experiment } from './experiment.ts';
import { failover } from './failover/failover.ts';
import { files } from './files/files.ts';
import { gfsFig3 } from './gfs-fig3/gfs-fig3.ts';
import { gfsTable1 } from './gfs-table1/gfs-table1.ts';
import { membership } from './membership/membership.ts';
import { recovery } from './recovery/recovery.ts';
import { snapshot } from './snapshot/snapshot.ts';
import { transport } from './transport/transport.ts';

export const experiments: readonly Experiment[] = [
  consensus,
  failover,
  recovery,
  gfsTable1,
  membership,
  snapshot,
  transport,
  gfsFig3,
  files,
  disk,
];
