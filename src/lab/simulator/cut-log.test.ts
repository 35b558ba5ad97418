import { describe, expect, it } from 'vitest';
import { CutLog } from './cut-log.ts';
import type { SharedRecord } from './shared-log.ts';

const chunkBytes = 1000;

/** Everything happens one after another, if it is not told otherwise. */
class Story {
  #time = 0;
  #number = 0;
  readonly log = new CutLog('/f', chunkBytes, () => ++this.#time);

  begin(): SharedRecord {
    return this.log.begin(1, ++this.#number, 20);
  }
  append(offset: number): SharedRecord {
    const record = this.begin();
    this.log.acknowledged(record, offset);
    return record;
  }
  cut(size: number): void {
    this.log.cutEnded(this.log.beginCut(size));
  }
  /** What is wrong with a file that has these bytes at these places. */
  wrong(length: number, ...parts: (readonly [at: number, bytes: Uint8Array])[]): string {
    const content = new Uint8Array(length);
    for (const [at, bytes] of parts) content.set(bytes, at);
    try {
      this.log.check(content);
    } catch (thrown) {
      return (thrown as Error).message;
    }
    return '';
  }
}

describe('a file that is appended to and cut', () => {
  it('has what was appended after the last cut, where it was said to be, and nothing that was cut off', () => {
    const story = new Story();
    const old = story.append(0);
    const length = old.bytes.length;
    story.cut(0);
    const first = story.append(0);
    expect(story.wrong(length, [0, first.bytes])).toBe('');
    expect(story.wrong(length, [0, old.bytes])).toContain('is there, after a cut to 0');
    expect(story.wrong(0)).toContain('is not there, and no cut has taken it');
    expect(story.wrong(100 + length, [0, first.bytes], [100, first.bytes])).toMatch(/zeros from \d+ on end at 100/);
    expect(story.wrong(2 * length, [0, first.bytes], [length, first.bytes])).toContain('and again at');
    const second = story.append(length);
    expect(story.wrong(2 * length, [0, second.bytes], [length, first.bytes])).toContain(`is at ${length}`);
  });

  it('has no hole but where a cut has made it longer', () => {
    const story = new Story();
    const record = story.append(2 * chunkBytes);
    const length = 2 * chunkBytes + record.bytes.length;
    const wrong = () => story.wrong(length, [2 * chunkBytes, record.bytes]);
    expect(wrong()).toContain('the chunk at 0 is a hole');
    story.cut(2 * chunkBytes);
    const again = story.append(2 * chunkBytes);
    expect(story.wrong(length, [2 * chunkBytes, again.bytes])).toBe('');
    story.cut(chunkBytes);
    const last = story.append(2 * chunkBytes);
    expect(story.wrong(length, [2 * chunkBytes, last.bytes])).toContain(`the chunk at ${chunkBytes} is a hole`);
  });

  it('has a record that was under way with a cut, or has it not', () => {
    const story = new Story();
    const record = story.begin();
    const cut = story.log.beginCut(0);
    story.log.acknowledged(record, 0);
    story.log.cutEnded(cut);
    expect(story.wrong(record.bytes.length, [0, record.bytes])).toBe('');
    expect(story.wrong(0)).toBe('');
  });

  it('has the beginning of a record through which a cut went, and zeros up to where it was made longer', () => {
    const story = new Story();
    const record = story.append(0);
    story.cut(7);
    story.cut(300);
    const next = story.append(300);
    const end = 300 + next.bytes.length;
    expect(story.wrong(end, [0, record.bytes.subarray(0, 7)], [300, next.bytes])).toBe('');
    expect(story.wrong(end, [0, record.bytes.subarray(0, 9)], [300, next.bytes])).toContain('no record begins at 7');
    expect(story.wrong(end, [0, record.bytes], [300, next.bytes])).toContain('is there, after a cut to 7');
  });

  it('has all or nothing of what a cut of unknown outcome would have taken', () => {
    const story = new Story();
    const one = story.append(0);
    const length = one.bytes.length;
    const two = story.append(length);
    story.log.beginCut(0);
    expect(story.wrong(2 * length, [0, one.bytes], [length, two.bytes])).toBe('');
    expect(story.wrong(0)).toBe('');
    expect(story.wrong(length, [0, one.bytes])).toContain('is not there, and no cut has taken it');
  });

  it('or of all that lies in later chunks than its end', () => {
    const story = new Story();
    const one = story.append(0);
    const length = one.bytes.length;
    const two = story.append(length);
    const three = story.append(chunkBytes);
    const four = story.append(chunkBytes + length);
    story.log.beginCut(length);
    const [first, second, third] = [
      [0, one.bytes],
      [length, two.bytes],
      [chunkBytes, three.bytes],
    ] as const;
    const fourth = [chunkBytes + length, four.bytes] as const;
    expect(story.wrong(2 * length, first, second)).toBe('');
    expect(story.wrong(length, first)).toBe('');
    const end = chunkBytes + 2 * length;
    expect(story.wrong(end, first, second, third, fourth)).toBe('');
    expect(story.wrong(chunkBytes + length, first, second, third)).toContain('is not there, and no cut has taken it');
    expect(story.wrong(end, first, third, fourth)).toContain('is not there, and no cut has taken it');
  });
});
