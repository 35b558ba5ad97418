import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FrameParser } from './frame-parser.ts';
import { SendQueue } from './send-queue.ts';
import { preface } from './wire.ts';

/** The bytes of the example in docs/formats/connection.md. */
function example(): Buffer {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/formats/connection.md'), 'utf8');
  const block = page.split('## Example')[1]?.split('```text')[1]?.split('```')[0] ?? '';
  return Buffer.from(block.replace(/\s/g, ''), 'hex');
}

const frames = [
  { head: Uint8Array.of(1, 2), body: 'hello' },
  { head: Uint8Array.of(3), body: '' },
];

test('the example on the page of the format is read as it says', () => {
  const read: { head: Uint8Array; body: string }[] = [];
  let greeted = 0;
  const parser = new FrameParser({
    preface: () => void greeted++,
    garbage: (reason) => expect.unreachable(reason),
    frame: (head) => {
      const frame = { head: new Uint8Array(head), body: '' };
      read.push(frame);
      return {
        piece: (bytes) => {
          frame.body += Buffer.from(bytes).toString();
        },
        end: () => undefined,
        aborted: () => undefined,
      };
    },
  });
  parser.take(example());
  expect(greeted).toBe(1);
  expect(read).toEqual(frames);
});

test('what it describes is written as it shows', () => {
  const queue = new SendQueue();
  queue.raw(preface);
  for (const { head, body } of frames) queue.frame(head, [Buffer.from(body)], body.length);
  expect(Buffer.concat(queue.take()).toString('hex')).toBe(example().toString('hex'));
});
