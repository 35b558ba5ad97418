/** What options take, checked while the command line is read. Each throws commander's InvalidArgumentError, which says what to give. */
import { InvalidArgumentError } from 'commander';
import { parseSize } from '../verbs/file-settings.ts';

const timeoutMaxSeconds = 86_400;

export function natural(min: number, max: number): (text: string) => number {
  return (text) => {
    const n = Number(text);
    if (!/^\d+$/.test(text) || n < min || n > max)
      throw new InvalidArgumentError(`give a whole number from ${min} to ${max}`);
    return n;
  };
}

export function seconds(text: string): number {
  const n = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || n <= 0 || n > timeoutMaxSeconds)
    throw new InvalidArgumentError(`give seconds, more than 0 and at most ${timeoutMaxSeconds}`);
  return n;
}

export function milliseconds(text: string): number {
  return seconds(text) * 1000;
}

const ageUnits: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export function age(text: string): number {
  const match = /^(\d{1,9})([smhd])$/.exec(text);
  if (match === null) throw new InvalidArgumentError('give an age such as 90s, 15m, 12h or 7d');
  return Number(match[1]) * ageUnits[match[2]!]!;
}

export function size(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined) throw new InvalidArgumentError('give a size such as 64MiB');
  return bytes;
}

export function share(text: string): number {
  const n = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || n < 0.01 || n > 10)
    throw new InvalidArgumentError('give a number from 0.01 to 10');
  return n;
}

export function counts(text: string): number[] {
  return text.split(',').map(natural(1, 10_000));
}
