/** The few connections that all clients share to one member of a system under load: opened when they are needed, again when they were lost. */
interface Closable {
  readonly isClosed: boolean;
  close(): void;
}

export class MemberConnections<Connection extends Closable> {
  readonly #open: () => Connection;
  readonly #connections: (Connection | undefined)[];

  /** @param address host:port */
  constructor(address: string, count: number, open: (host: string, port: number) => Connection) {
    const colon = address.lastIndexOf(':');
    this.#open = () => open(address.slice(0, colon), Number(address.slice(colon + 1)));
    this.#connections = Array.from({ length: count }, () => undefined);
  }

  of(client: number): Connection {
    const slot = client % this.#connections.length;
    const known = this.#connections[slot];
    if (known !== undefined && !known.isClosed) return known;
    const made = this.#open();
    this.#connections[slot] = made;
    return made;
  }

  close(): void {
    for (const connection of this.#connections) connection?.close();
  }
}
