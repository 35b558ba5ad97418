/** Events for operators: one JSON object a line, made by pino. A disk or a reader that does not take them harms nobody. */
import { mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type { EventLevel, Events } from '../../core/base/env.ts';
import { KeptLines } from './kept-lines.ts';

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

const inBlocks = { minLength: 4096, periodicFlush: 250 };

/** Nobody listens. */
export const silentEvents: NodeEvents = { emit: () => undefined, flush: async () => undefined };

/** Loads pino on first use: a process that reports nothing does not pay for its start. */
export async function openEvents(options: EventsOptions = {}): Promise<NodeEvents> {
  const { pino } = await import('pino');
  const dest = options.destination ?? 2;
  const behind = options.async === true ? pino.destination({ dest, sync: false, mkdir: true, ...inBlocks }) : undefined;
  const logger = pino(
    {
      level: options.level ?? 'info',
      base: { ...options.base },
      messageKey: 'event',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.err, cause: pino.stdSerializers.err },
    },
    behind ?? new KeptLines(descriptorOf(dest), linesLost),
  );
  return {
    emit: (level, name, fields) => logger[level](fields ?? {}, name),
    flush: () =>
      new Promise((resolve, reject) => {
        if (behind === undefined) resolve();
        else behind.flush((error) => (error ? reject(error) : resolve()));
      }),
  };
}

function descriptorOf(destination: number | string): number {
  if (typeof destination === 'number') return destination;
  mkdirSync(dirname(destination), { recursive: true });
  return openSync(destination, 'a');
}

function linesLost(lines: number): string {
  return `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), lines, event: 'events_lost' })}\n`;
}
