/** The last things that happened in a run, for people: time, node, what. */
const linesMax = 4_000;

export function traceLine(atMs: number, who: string, text: string): string {
  return `${atMs.toFixed(3).padStart(12)} ${who.padEnd(9)} ${text}`;
}

export class Trace {
  readonly #onLine: ((line: string) => void) | undefined;
  #lines: string[] = [];

  /** @param onLine told of each line at once. */
  constructor(onLine: ((line: string) => void) | undefined) {
    this.#onLine = onLine;
  }

  note(atMs: number, who: string, text: string): void {
    this.take(traceLine(atMs, who, text));
  }

  take(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length >= 2 * linesMax) this.#lines = this.#lines.slice(-linesMax);
    this.#onLine?.(line);
  }

  tail(lines: number): readonly string[] {
    return this.#lines.slice(-lines);
  }
}
