/** `Network` over TCP. */
import * as net from 'node:net';
import { assert } from '../../core/base/assert.ts';
import type { Address } from '../../core/base/brand.ts';
import type { Connection, ConnectionHandler, Events, Listener, Network } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { type ConnectionLimits, defaultLimits, TcpConnection } from './connection.ts';
import { errnoOf } from './disk-errors.ts';

export interface NetworkOptions extends Partial<ConnectionLimits> {
  /** Accepted connections at one time, over all listeners of this network; more are closed at once. */
  readonly acceptedMax?: number;
}

const acceptedMaxDefault = 4096;

export function nodeNetwork(events: Events, options: NetworkOptions = {}): Network {
  return new NodeNetwork(events, options);
}

class NodeNetwork implements Network {
  readonly #events: Events;
  readonly #limits: ConnectionLimits;
  readonly #acceptedMax: number;
  #accepted = 0;

  constructor(events: Events, options: NetworkOptions) {
    const { acceptedMax = acceptedMaxDefault, ...limits } = options;
    this.#events = events;
    this.#limits = { ...defaultLimits, ...limits };
    this.#acceptedMax = acceptedMax;
  }

  listen(address: Address, accept: (connection: Connection) => ConnectionHandler): Promise<Listener> {
    const { host, port } = parts(address);
    const server = net.createServer({ pauseOnConnect: true }, (socket) => this.#accept(socket, accept));
    return new Promise((resolve, reject) => {
      server.once('error', (error) => reject(listenError(address, error)));
      server.listen({ host, port }, () => {
        server.removeAllListeners('error');
        server.on('error', (error) => this.#events.emit('warn', 'network.acceptFailed', { address, error }));
        resolve(listener(server, host));
      });
    });
  }

  connect(address: Address, handler: ConnectionHandler): Connection {
    const { host, port } = parts(address);
    return new TcpConnection(
      (onread) => net.connect({ host, port, onread }),
      address,
      this.#limits,
      () => handler,
      handler,
    );
  }

  #accept(accepted: net.Socket, accept: (connection: Connection) => ConnectionHandler): void {
    const remote = `${accepted.remoteAddress}:${accepted.remotePort}`;
    if (this.#accepted >= this.#acceptedMax) {
      this.#events.emit('warn', 'network.connectionRefused', { remote, reason: `${this.#acceptedMax} are open` });
      accepted.destroy();
      return;
    }
    // Until the preface has come nobody above knows of the connection; a stranger leaves no trace but an event.
    const stranger: ConnectionHandler = {
      frame: () => undefined,
      closed: (reason) => this.#events.emit('warn', 'network.strangerDropped', { remote, reason }),
    };
    new TcpConnection((onread) => this.#reopen(accepted, onread), remote, this.#limits, accept, stranger);
  }

  /**
   * The accepted connection as a socket that reads into our memory. Only the maker of a socket can ask for that, and a
   * server makes its sockets itself; so the connection is taken out of that one (as Node does to pass one to another
   * process) and put into a new one. It costs half as much per byte to receive as the server's own.
   */
  #reopen(accepted: net.Socket, onread: net.OnReadOpts): net.Socket {
    const shell = accepted as unknown as { _handle: unknown };
    const handle = shell._handle;
    assert(handle !== null && handle !== undefined, 'an accepted socket has its connection');
    shell._handle = null;
    accepted.destroy();
    const socket = new net.Socket({ handle, onread } as net.SocketConstructorOpts);
    this.#accepted++;
    socket.once('close', () => this.#accepted--);
    return socket;
  }
}

function listener(server: net.Server, host: string): Listener {
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${port}` as Address,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
  };
}

function listenError(address: Address, error: Error): CairnError {
  const errno = errnoOf(error);
  if (errno === 'EADDRINUSE') {
    return new CairnError('PORT_IN_USE', `${address} is in use; choose another port or stop its owner`, {
      cause: error,
    });
  }
  return new CairnError('CONFIG_INVALID', `cannot listen on ${address}: ${errno}`, { cause: error });
}

function parts(address: Address): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon);
  return { host: host.startsWith('[') ? host.slice(1, -1) : host, port: Number(address.slice(colon + 1)) };
}
