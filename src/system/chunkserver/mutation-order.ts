/**
 * The order of the mutations of one chunk version, which its primary alone decides (GFS §3.1): each gets its place behind all that were
 * ordered before it, acknowledged or not, and the next serial. Serials have no gap; what is refused, or only repeats, gets none.
 */
import { unreachable } from '../../core/base/assert.ts';
import type { ChunkVersion } from '../../core/base/brand.ts';
import type { Crc32 } from '../../core/base/env.ts';
import type { MutationKind } from '../../core/protocol/chunk-calls.ts';
import type { Grant } from '../../core/protocol/types.ts';
import type { ChunkInfo, WindowEntry } from '../storage/chunk-store.ts';
import { AppendWindow } from './append-window.ts';
import type { Mutation, Placement } from './mutation.ts';
import { placeAppend, placeResize, placeWrite } from './placing.ts';

type AppendKind = Extract<MutationKind, { kind: 'append' }>;
type ResizeKind = Extract<MutationKind, { kind: 'resize' }>;

/** What the primary holds when the order begins; `info` undefined: nothing. */
export interface Beginning {
  readonly info: Pick<ChunkInfo, 'serial' | 'lengthBytes'> | undefined;
  readonly window: readonly WindowEntry[];
}

export class MutationOrder {
  readonly #version: ChunkVersion;
  readonly #mode: Grant['mode'];
  readonly #windowWritersMax: number;
  readonly #crc32: Crc32;
  readonly #window: AppendWindow<Mutation>;
  #serial: number;
  /** With all that was ordered. */
  #lengthBytes: number;

  constructor({ version, mode }: Grant, { info, window }: Beginning, windowWritersMax: number, crc32: Crc32) {
    this.#version = version;
    this.#mode = mode;
    this.#windowWritersMax = windowWritersMax;
    this.#crc32 = crc32;
    this.#window = this.#windowOf(window);
    this.#serial = info?.serial ?? 0;
    this.#lengthBytes = info?.lengthBytes ?? 0;
  }

  /**
   * Gives the mutation its place and serial.
   * @returns undefined when nothing is to be written; the mutations that hold what it repeats are awaited.
   * @throws CairnError INVALID_ARGUMENT, UNKNOWN_OUTCOME; then nothing is ordered
   */
  give(mutation: Mutation): Placement | undefined {
    const placement = this.#place(mutation, mutation.request.kind);
    if (placement === undefined) return undefined;
    this.#serial += 1;
    this.#lengthBytes = placement.lengthBytes;
    mutation.serial = this.#serial;
    mutation.version = this.#version;
    mutation.placement = placement;
    return placement;
  }

  #place(mutation: Mutation, kind: MutationKind): Placement | undefined {
    switch (kind.kind) {
      case 'write':
        return placeWrite(mutation, kind.offset, this.#lengthBytes);
      case 'append':
        return this.#placeAppend(mutation, kind);
      case 'resize':
        return this.#placeResize(mutation, kind);
      default:
        return unreachable(kind);
    }
  }

  /** In mode gfs nobody remembers what was appended: what is repeated lands again (GFS §3.3). */
  #placeAppend(mutation: Mutation, kind: AppendKind): Placement | undefined {
    if (this.#mode !== 'gfs') return placeAppend(mutation, kind, this.#lengthBytes, this.#window, this.#crc32);
    const placement = placeAppend(mutation, kind, this.#lengthBytes, this.#windowOf([]), this.#crc32);
    return placement === undefined ? undefined : { ...placement, window: [] };
  }

  /** In mode gfs failed attempts may have left members longer or shorter than this one: what makes it longer may make them shorter. */
  #placeResize(mutation: Mutation, kind: ResizeKind): Placement | undefined {
    const placement = placeResize(mutation, kind, this.#lengthBytes, this.#window);
    return placement === undefined ? undefined : { ...placement, isCut: placement.isCut || this.#mode === 'gfs' };
  }

  #windowOf(entries: readonly WindowEntry[]): AppendWindow<Mutation> {
    return new AppendWindow<Mutation>(this.#version, entries, this.#windowWritersMax);
  }
}
