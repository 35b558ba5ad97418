/** What becomes of a frame's body: collected whole, or thrown away. */
import { assert } from '../../core/base/assert.ts';
import type { BodySink } from '../../core/base/env.ts';

/**
 * Has the network write the body into one array, and hands it over when it is whole.
 * @param body that array, exactly as long; without it fresh memory.
 */
export function collectBody(
  bodyBytes: number,
  whole: (body: Uint8Array) => void,
  aborted: () => void,
  body: Uint8Array = new Uint8Array(bodyBytes),
): BodySink {
  let at = 0;
  return {
    space: () => body.subarray(at),
    piece(bytes) {
      at += bytes.length;
    },
    end() {
      assert(at === bodyBytes, 'a body is as long as its frame said', { at, bodyBytes });
      whole(body);
    },
    aborted,
  };
}

export const emptyBody: Uint8Array = new Uint8Array(0);
