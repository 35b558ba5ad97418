/** Patterns of names, as shells have them: `*`, `?`, `[a-z]`, `[!a-z]`; a backslash takes the next character as it is. */
import { CairnError } from '../../../core/base/errors.ts';

const patternMaxLength = 1024;

/** Whether all of a text is as the pattern says. `*` and `?` stand for any characters, `/` included. @throws CairnError USAGE */
export function globOf(pattern: string): (text: string) => boolean {
  if (pattern.length > patternMaxLength) throw wrong(pattern, `has more than ${patternMaxLength} characters`);
  const tokens = tokensOf(pattern);
  return (text) => matches(tokens, [...text]);
}

type Token = { readonly kind: 'any' } | { readonly kind: 'one'; readonly holds: (character: string) => boolean };

function tokensOf(pattern: string): readonly Token[] {
  const characters = [...pattern];
  const tokens: Token[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    if (character === '*') tokens.push({ kind: 'any' });
    else if (character === '?') tokens.push({ kind: 'one', holds: () => true });
    else if (character === '[') {
      const end = endOfSet(characters, at);
      if (end === undefined) throw wrong(pattern, "has a '[' without its ']'");
      tokens.push({ kind: 'one', holds: setOf(characters.slice(at + 1, end)) });
      at = end;
    } else {
      if (character === '\\') at += 1;
      const itself = characters[at];
      if (itself === undefined) throw wrong(pattern, 'ends with a backslash');
      tokens.push({ kind: 'one', holds: (other) => other === itself });
    }
  }
  return tokens;
}

/** A `]` right behind the beginning is one of the set. */
function endOfSet(characters: readonly string[], from: number): number | undefined {
  const first = characters[from + 1] === '!' ? from + 2 : from + 1;
  const end = characters.indexOf(']', first + 1);
  return end < 0 ? undefined : end;
}

function setOf(characters: readonly string[]): (character: string) => boolean {
  const isNegated = characters[0] === '!';
  const inside = isNegated ? characters.slice(1) : characters;
  const ranges: (readonly [from: string, to: string])[] = [];
  for (let at = 0; at < inside.length; at++) {
    const isRange = inside[at + 1] === '-' && at + 2 < inside.length;
    ranges.push([inside[at]!, isRange ? inside[at + 2]! : inside[at]!]);
    if (isRange) at += 2;
  }
  return (character) => ranges.some(([from, to]) => from <= character && character <= to) !== isNegated;
}

/** Goes back to the last `*` only: its time is the product of both lengths at worst. */
function matches(tokens: readonly Token[], text: readonly string[]): boolean {
  let token = 0;
  let at = 0;
  let lastAny: { readonly token: number; at: number } | undefined;
  while (at < text.length) {
    const next = tokens[token];
    if (next?.kind === 'any') {
      lastAny = { token, at };
      token += 1;
    } else if (next?.holds(text[at]!) === true) {
      token += 1;
      at += 1;
    } else if (lastAny !== undefined) {
      lastAny.at += 1;
      at = lastAny.at;
      token = lastAny.token + 1;
    } else return false;
  }
  return tokens.slice(token).every(({ kind }) => kind === 'any');
}

function wrong(pattern: string, what: string): CairnError {
  return new CairnError(
    'USAGE',
    `the pattern '${pattern}' ${what}; put a backslash before what is to be taken as it is`,
  );
}
