/**
 * Lines written to a descriptor at once, in order, each before `write` returns. What cannot be written now (its disk is full, its reader is
 * slow) is kept, up to a bound, and written when it can be; beyond that lines are lost, and their number is told. A reader that has gone
 * for good is written to no more. Nothing here throws: who only tells what happens must not fall with where it is told.
 */
import { writeSync } from 'node:fs';

const keptBytesMax = 1024 * 1024;
const retryMs = 1000;

export class KeptLines {
  readonly #descriptor: number;
  readonly #tellLost: (lines: number) => string;
  /** Not written yet, the first one perhaps in part. */
  readonly #kept: Buffer[] = [];
  #keptBytes = 0;
  #lost = 0;
  #isGone = false;
  #isRetrying = false;

  /** @param tellLost the line that says how many were lost */
  constructor(descriptor: number, tellLost: (lines: number) => string) {
    this.#descriptor = descriptor;
    this.#tellLost = tellLost;
  }

  write(line: string): void {
    if (this.#isGone) return;
    this.#writeKept();
    if (this.#lost > 0 && this.#keptBytes === 0) {
      this.#keep(this.#tellLost(this.#lost));
      this.#lost = 0;
    }
    if (this.#keptBytes > keptBytesMax) this.#lost += 1;
    else this.#keep(line);
    this.#writeKept();
  }

  #keep(line: string): void {
    const bytes = Buffer.from(line);
    this.#kept.push(bytes);
    this.#keptBytes += bytes.length;
  }

  #writeKept(): void {
    try {
      while (this.#kept.length > 0) {
        const first = this.#kept[0]!;
        const written = writeSync(this.#descriptor, first);
        this.#keptBytes -= written;
        if (written === first.length) this.#kept.shift();
        else this.#kept[0] = first.subarray(written);
      }
    } catch (thrown) {
      this.#notWritten(thrown as NodeJS.ErrnoException);
    }
  }

  #notWritten({ code }: NodeJS.ErrnoException): void {
    this.#isGone = code === 'EPIPE';
    if (this.#isGone) {
      this.#kept.length = 0;
      this.#keptBytes = 0;
      return;
    }
    if (this.#isRetrying) return;
    this.#isRetrying = true;
    setTimeout(() => {
      this.#isRetrying = false;
      this.#writeKept();
    }, retryMs).unref();
  }
}
