/** Our own failing: assertions stay on in production. */

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
  readonly details: Readonly<Record<string, unknown>>;
  constructor(message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(`${message}${describe(details)}`);
    this.details = details;
  }
}

function describe(details: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(details).map(([key, value]) => `${key}=${String(value)}`);
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}

export function assert(
  condition: boolean,
  message: string,
  details?: Readonly<Record<string, unknown>>,
): asserts condition {
  if (!condition) throw new AssertionError(message, details);
}

/** For `default:` of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new AssertionError('unreachable case', { value: JSON.stringify(value) });
}
