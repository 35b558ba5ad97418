/**
 * What leaves a replica: records to its log, and messages to its peers, some of which must not leave before a record is durable. Owns those
 * that wait for that; in the order of the writes that they wait for.
 */
import type { Effects, EngineKind, Envelope, IoId } from '../../core/consensus/engine.ts';
import type { LogKeeper } from './log-keeper.ts';
import type { Transport } from './replica-options.ts';

export interface OutgoingHost<Message, LogRecord> {
  readonly kind: EngineKind<Message, LogRecord>;
  readonly log: LogKeeper<Message, LogRecord>;
  readonly transport: Transport;
  /** The write and all before it are durable, and what waited for that has left. */
  persisted(io: IoId): void;
  failed(thrown: unknown): void;
}

export class Outgoing<Message, LogRecord> {
  readonly #host: OutgoingHost<Message, LogRecord>;
  readonly #gated: { readonly io: IoId; readonly envelopes: readonly Envelope<Message>[] }[] = [];

  constructor(host: OutgoingHost<Message, LogRecord>) {
    this.#host = host;
  }

  carryOut({ persist, send, sendAfter }: Effects<Message, LogRecord>): void {
    if (persist !== undefined) this.#persist(persist);
    for (const envelope of send) this.#send(envelope);
    for (const gated of sendAfter) this.#gated.push(gated);
  }

  #persist({ io, records, mustSync }: NonNullable<Effects<Message, LogRecord>['persist']>): void {
    this.#host.log.append(records, mustSync).then(
      () => this.#persisted(io),
      (thrown: unknown) => this.#host.failed(thrown),
    );
  }

  #persisted(io: IoId): void {
    while (this.#gated.length > 0 && this.#gated[0]!.io <= io) {
      for (const envelope of this.#gated.shift()!.envelopes) this.#send(envelope);
    }
    this.#host.persisted(io);
  }

  #send({ to, message }: Envelope<Message>): void {
    const { kind, transport } = this.#host;
    transport.send(to, kind.encodeMessage(message));
  }
}
