/**
 * The operations of real clusters as the GFS paper counts them: Table 4 (sizes), Table 6 (requests to the master) and §6.3 (writes against
 * record appends). Cluster X is for research and development, cluster Y for production.
 */

export type PaperCluster = 'X' | 'Y';
export type DataOperation = 'read' | 'write' | 'recordAppend';

const kibi = 1024;
const mebi = 1024 * kibi;

interface SizeClass {
  /** Bytes, both included. */
  readonly from: number;
  readonly to: number;
  /** Percent of the operations, for [X, Y]; what the paper gives as less than 0.1 is taken for 0.05. */
  readonly read: readonly [number, number];
  readonly write: readonly [number, number];
  readonly recordAppend: readonly [number, number];
}

/** What is over 1 MB ends here: the paper does not say where. */
const largestBytes = 4 * mebi;

export const sizeClasses: readonly SizeClass[] = [
  { from: 0, to: 0, read: [0.4, 2.6], write: [0, 0], recordAppend: [0, 0] },
  { from: 1, to: kibi, read: [0.1, 4.1], write: [6.6, 4.9], recordAppend: [0.2, 9.2] },
  { from: kibi + 1, to: 8 * kibi, read: [65.2, 38.5], write: [0.4, 1], recordAppend: [18.9, 15.2] },
  { from: 8 * kibi + 1, to: 64 * kibi, read: [29.9, 45.1], write: [17.8, 43], recordAppend: [78, 2.8] },
  { from: 64 * kibi + 1, to: 128 * kibi, read: [0.1, 0.7], write: [2.3, 1.9], recordAppend: [0.05, 4.3] },
  { from: 128 * kibi + 1, to: 256 * kibi, read: [0.2, 0.3], write: [31.6, 0.4], recordAppend: [0.05, 10.6] },
  { from: 256 * kibi + 1, to: 512 * kibi, read: [0.1, 0.1], write: [4.2, 7.7], recordAppend: [0.05, 31.2] },
  { from: 512 * kibi + 1, to: mebi, read: [3.9, 6.9], write: [35.5, 28.7], recordAppend: [2.2, 25.5] },
  { from: mebi + 1, to: largestBytes, read: [0.1, 1.8], write: [1.5, 12.3], recordAppend: [0.7, 2.2] },
];

/** Writes for each record append, by count. */
export const writesPerAppend: Readonly<Record<PaperCluster, number>> = { X: 8, Y: 2.5 };

export type MasterRequest = 'open' | 'delete' | 'findLocation' | 'findLeaseHolder' | 'findMatchingFiles' | 'other';

/** Percent of the requests, for [X, Y]. */
export const masterRequests: Readonly<Record<MasterRequest, readonly [number, number]>> = {
  open: [26.1, 16.3],
  delete: [0.7, 1.5],
  findLocation: [64.3, 65.8],
  findLeaseHolder: [7.8, 13.4],
  findMatchingFiles: [0.6, 2.2],
  other: [0.5, 0.8],
};

/** Draws operations of one cluster; the same random numbers give the same operations. */
export class PaperMix {
  readonly #column: 0 | 1;
  readonly #cluster: PaperCluster;
  readonly #random: () => number;

  /** @param random uniform in [0, 1) */
  constructor(cluster: PaperCluster, random: () => number) {
    this.#cluster = cluster;
    this.#column = cluster === 'X' ? 0 : 1;
    this.#random = random;
  }

  /** Bytes of one operation of that kind; uniform within its class. */
  size(operation: DataOperation): number {
    const { from, to } = this.#draw(sizeClasses, (each) => each[operation][this.#column]);
    return from + Math.floor(this.#random() * (to - from + 1));
  }

  /** A write or a record append, as often as the cluster has them. */
  mutation(): { readonly operation: 'write' | 'recordAppend'; readonly bytes: number } {
    const writes = writesPerAppend[this.#cluster];
    const operation = this.#random() < writes / (writes + 1) ? 'write' : 'recordAppend';
    return { operation, bytes: this.size(operation) };
  }

  masterRequest(): MasterRequest {
    const names = Object.keys(masterRequests) as MasterRequest[];
    return this.#draw(names, (name) => masterRequests[name][this.#column]);
  }

  /** By weight; weights need not add up to 100, as the paper's, rounded, do not. */
  #draw<T>(choices: readonly T[], weightOf: (choice: T) => number): T {
    const total = choices.reduce((sum, choice) => sum + weightOf(choice), 0);
    let at = this.#random() * total;
    for (const choice of choices) {
      at -= weightOf(choice);
      if (at < 0) return choice;
    }
    return choices.findLast((choice) => weightOf(choice) > 0)!;
  }
}
