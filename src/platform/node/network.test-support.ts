/** Handlers and sinks that keep what they get, and promises for the moment it is there. */
import type { Address } from '../../core/base/brand.ts';
import type { BodySink, Connection, ConnectionHandler } from '../../core/base/env.ts';

export const anyPort = '127.0.0.1:0' as Address;

export interface ReceivedFrame {
  readonly head: Buffer;
  readonly body: Buffer;
}

/** A handler that copies every frame. */
export class Recorder implements ConnectionHandler {
  readonly frames: ReceivedFrame[] = [];
  readonly begun: number[] = [];
  aborted = 0;
  drains = 0;
  readonly closings: string[] = [];
  #watchers: { readonly when: () => boolean; readonly tell: () => void }[] = [];

  frame(head: Uint8Array, bodyBytes: number): BodySink | undefined {
    const keptHead = Buffer.from(head);
    const pieces: Buffer[] = [];
    this.begun.push(bodyBytes);
    this.#changed();
    if (bodyBytes === 0) {
      this.#add({ head: keptHead, body: Buffer.alloc(0) });
      return undefined;
    }
    return {
      piece: (bytes) => void pieces.push(Buffer.from(bytes)),
      end: () => this.#add({ head: keptHead, body: Buffer.concat(pieces) }),
      aborted: () => {
        this.aborted++;
        this.#changed();
      },
    };
  }

  drained(): void {
    this.drains++;
    this.#changed();
  }

  closed(reason: string): void {
    this.closings.push(reason);
    this.#changed();
  }

  /** Resolves once `when` holds of what has come. */
  until(when: () => boolean): Promise<void> {
    return new Promise((tell) => {
      this.#watchers.push({ when, tell });
      this.#changed();
    });
  }

  async closing(): Promise<string> {
    await this.until(() => this.closings.length > 0);
    return this.closings[0]!;
  }

  #add(frame: ReceivedFrame): void {
    this.frames.push(frame);
    this.#changed();
  }

  #changed(): void {
    const ready = this.#watchers.filter((watcher) => watcher.when());
    this.#watchers = this.#watchers.filter((watcher) => !ready.includes(watcher));
    for (const watcher of ready) watcher.tell();
  }
}

/** Keeps what was accepted, in order. */
export class Accepted {
  readonly connections: Connection[] = [];
  readonly recorders: Recorder[] = [];
  #waiting: (() => void)[] = [];

  readonly accept = (connection: Connection): ConnectionHandler => {
    const recorder = new Recorder();
    this.connections.push(connection);
    this.recorders.push(recorder);
    for (const tell of this.#waiting.splice(0)) tell();
    return recorder;
  };

  async first(): Promise<{ readonly connection: Connection; readonly recorder: Recorder }> {
    if (this.connections.length === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return { connection: this.connections[0]!, recorder: this.recorders[0]! };
  }
}

export const text = (value: string): Uint8Array => Buffer.from(value);
