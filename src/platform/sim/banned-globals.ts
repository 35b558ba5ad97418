/**
 * The third net under "nothing reads the world on its own": while simulated code runs, the globals that would let time,
 * chance or the outer world in throw. (The first two are the compiler and the architecture test.)
 */
import { assert } from '../../core/base/assert.ts';

/** Path from the global object to each function; `Date()` and `new Date()` are banned besides. */
const banned: readonly (readonly string[])[] = [
  ['Math', 'random'],
  ['performance', 'now'],
  ['crypto', 'getRandomValues'],
  ['crypto', 'randomUUID'],
  ['setTimeout'],
  ['setInterval'],
  ['setImmediate'],
  ['fetch'],
];

/** Thrown by a banned global. */
export class BannedGlobalError extends Error {
  override readonly name = 'BannedGlobalError';
  constructor(what: string) {
    super(`${what} was used inside the simulation; take it from Env`);
  }
}

type Restore = () => void;

/** Scopes under a ban: how many callers hold it, and how it ends. */
const bans = new WeakMap<object, { holders: number; readonly restore: Restore }>();

/**
 * Runs `run` with the globals banned, and lifts the ban when it has returned or its promise has settled. May be nested.
 * What the host needs meanwhile (a drain of microtasks) it must have taken from the globals before.
 * @param scope the host's global object.
 */
export async function withBannedGlobals<T>(scope: object, run: () => T | Promise<T>): Promise<T> {
  banGlobals(scope);
  try {
    return await run();
  } finally {
    liftBan(scope);
  }
}

export function banGlobals(scope: object): void {
  const ban = bans.get(scope);
  if (ban === undefined) bans.set(scope, { holders: 1, restore: install(scope) });
  else ban.holders += 1;
}

export function liftBan(scope: object): void {
  const ban = bans.get(scope);
  assert(ban !== undefined, 'a ban is lifted as often as it was imposed');
  ban.holders -= 1;
  if (ban.holders > 0) return;
  bans.delete(scope);
  ban.restore();
}

function install(scope: object): Restore {
  const undo = banned.map((path) => replaceAt(scope, path)).concat(replaceDate(scope));
  return () => {
    for (const restore of undo) restore();
  };
}

function replaceAt(scope: object, path: readonly string[]): Restore {
  const [first, second] = path as [string, string | undefined];
  const owner = second === undefined ? scope : property(scope, first);
  const name = second ?? first;
  if (!isObject(owner) || typeof property(owner, name) !== 'function') return () => undefined;
  return replace(owner, name, () => {
    throw new BannedGlobalError(path.join('.'));
  });
}

/** A Date that parses and formats as ever, but does not know what time it is. */
function replaceDate(scope: object): Restore {
  const real = property(scope, 'Date');
  if (typeof real !== 'function') return () => undefined;
  const blind = new Proxy(real, {
    apply: () => {
      throw new BannedGlobalError('Date()');
    },
    construct: (target, args, newTarget) => {
      if (args.length === 0) throw new BannedGlobalError('new Date()');
      return Reflect.construct(target, args, newTarget) as object;
    },
    get: (target, name, receiver) => {
      if (name === 'now') throw new BannedGlobalError('Date.now');
      return Reflect.get(target, name, receiver) as unknown;
    },
  });
  return replace(scope, 'Date', blind);
}

function replace(owner: object, name: string, value: unknown): Restore {
  const before = Object.getOwnPropertyDescriptor(owner, name);
  assert(before?.configurable !== false, 'a banned global can be replaced', { name });
  Object.defineProperty(owner, name, {
    value,
    configurable: true,
    writable: true,
    enumerable: before?.enumerable ?? false,
  });
  return () => {
    if (before === undefined) Reflect.deleteProperty(owner, name);
    else Object.defineProperty(owner, name, before);
  };
}

function property(owner: object, name: string): unknown {
  return (owner as Readonly<Record<string, unknown>>)[name];
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
