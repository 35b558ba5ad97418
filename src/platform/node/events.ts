/** Events for operators: one JSON object a line, written by pino. */
import type { EventLevel, Events } from '../../core/base/env.ts';

export interface EventsOptions {
  /** The lowest level that is written. */
  readonly level?: EventLevel;
  /** A descriptor (2 is stderr, the default) or a file that is appended to. */
  readonly destination?: number | string;
  /** Written behind the turn, in blocks: fast, and the last lines are lost when the process is killed. */
  readonly async?: boolean;
  /** Fields that every line carries (role, server id …). */
  readonly base?: Readonly<Record<string, unknown>>;
}

export interface NodeEvents extends Events {
  /** Resolves when every line so far has been handed to the operating system. */
  flush(): Promise<void>;
}

/** Nobody listens. */
export const silentEvents: NodeEvents = { emit: () => undefined, flush: async () => undefined };

/** Loads pino on first use: a process that reports nothing does not pay for its start. */
export async function openEvents(options: EventsOptions = {}): Promise<NodeEvents> {
  const { pino } = await import('pino');
  const destination = pino.destination({
    dest: options.destination ?? 2,
    sync: options.async !== true,
    mkdir: true,
    ...(options.async === true ? { minLength: 4096, periodicFlush: 250 } : {}),
  });
  const logger = pino(
    {
      level: options.level ?? 'info',
      base: { ...options.base },
      messageKey: 'event',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.err, cause: pino.stdSerializers.err },
    },
    destination,
  );
  return {
    emit: (level, name, fields) => logger[level](fields ?? {}, name),
    flush: () =>
      new Promise((resolve, reject) => {
        if (options.async === true) destination.flush((error) => (error ? reject(error) : resolve()));
        else resolve();
      }),
  };
}
