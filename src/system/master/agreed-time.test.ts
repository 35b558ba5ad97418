import { describe, expect, it } from 'vitest';
import { agreedTime } from './agreed-time.ts';

const says = (time: number) => async () => time;
const silent = async (): Promise<number> => {
  throw new Error('it does not answer');
};
const at = (own: number, ...others: (() => Promise<number>)[]) => agreedTime(() => own, others);

describe('the time that masters agree on', () => {
  it('is in the middle of what most of them say, however wrong the others are', async () => {
    expect(await at(1000, says(1010), says(990))).toBe(1000);
    expect(await at(9e12, says(1010), says(990))).toBe(1010);
    expect(await at(1000, says(0), says(9e12))).toBe(1000);
    expect(await at(1000, says(1001), says(9e12), says(9e12), says(1002))).toBe(1002);
  });

  it('is the earlier of two where one is silent, and not known where most are', async () => {
    expect(await at(9e12, says(1010), silent)).toBe(1010);
    expect(await at(1000, silent, silent)).toBeUndefined();
    expect(await at(1000, says(1000), silent, silent)).toBeUndefined();
  });

  it('is its own where it is alone', async () => {
    expect(await at(1000)).toBe(1000);
  });
});
