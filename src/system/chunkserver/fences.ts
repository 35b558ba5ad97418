/**
 * The lowest version whose mutations a replica still takes, where that is above the version it holds: a primary of a newer version
 * has asked for its image. In memory only: what makes it last is the adoption that follows; a restart between the two leaves
 * no mutation of an older version under way, and the adoption is checked against the state that the image showed.
 */
import type { ChunkHandle, ChunkVersion } from '../../core/base/brand.ts';

export type FenceRaised = (handle: ChunkHandle, version: ChunkVersion) => void;

/** Fences of chunks that no primary followed up; the oldest are forgotten first. */
const fencesMax = 100_000;

export class Fences {
  readonly #versions = new Map<ChunkHandle, ChunkVersion>();
  readonly #listeners: FenceRaised[] = [];

  onRaised(listener: FenceRaised): void {
    this.#listeners.push(listener);
  }

  /** 0 where there is none. */
  of(handle: ChunkHandle): number {
    return this.#versions.get(handle) ?? 0;
  }

  /** The version that counts for a replica that holds this one. */
  atLeast(handle: ChunkHandle, version: ChunkVersion): ChunkVersion {
    const fence = this.#versions.get(handle);
    return fence !== undefined && fence > version ? fence : version;
  }

  /** Whatever is under way under a lower version is refused from now on. */
  raise(handle: ChunkHandle, version: ChunkVersion): void {
    if (this.of(handle) >= version) return;
    this.#versions.delete(handle);
    this.#versions.set(handle, version);
    if (this.#versions.size > fencesMax) this.#forgetOldest();
    for (const listener of this.#listeners) listener(handle, version);
  }

  /** The replica holds this version now, or is gone (then: no version). */
  reached(handle: ChunkHandle, version: ChunkVersion | undefined): void {
    if (version === undefined || this.of(handle) <= version) this.#versions.delete(handle);
  }

  #forgetOldest(): void {
    for (const oldest of this.#versions.keys()) {
      this.#versions.delete(oldest);
      return;
    }
  }
}
