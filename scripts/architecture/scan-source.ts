/**
 * Reads a TypeScript source just closely enough to know what it imports and which names its code uses.
 * Comments, strings, templates and regular expressions are told from code; nothing else is understood.
 */

export interface ImportSite {
  /** Undefined when an `import(…)` computes it. */
  readonly specifier: string | undefined;
  /** `type` is erased at run time, `lazy` is `import(…)`. */
  readonly kind: 'value' | 'type' | 'lazy';
  /** From 1. */
  readonly line: number;
}

export interface ScannedSource {
  readonly imports: readonly ImportSite[];
  /** The source with comments, strings and regular expressions blanked out; every character keeps its place. */
  readonly code: string;
}

export function scanSource(text: string): ScannedSource {
  const code = blankNonCode(text);
  return { code, imports: findImports(text, code) };
}

export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let i = text.indexOf('\n'); i !== -1 && i < offset; i = text.indexOf('\n', i + 1)) line += 1;
  return line;
}

/** Matched on blanked code, where a specifier is two quotes with spaces between them; ends at its first quote. */
const statement =
  /(?<![.\w$])(?:import\s+(type\s+(?!from\b))?(?:[\w$*{}\s,]+?\bfrom\s*)?|export\s+(type\s+)?(?:\*|\{)[\w$*{}\s,]*?\bfrom\s*)(?=['"])/g;
const bareOrLazyImport = /(?<![.\w$])import\s*(\(?)\s*/g;

function findImports(text: string, code: string): ImportSite[] {
  const sites = new Map<number, ImportSite>();
  for (const match of code.matchAll(statement)) {
    const isType = match[1] !== undefined || match[2] !== undefined || importsOnlyTypes(match[0]);
    const specifier = literalAt(text, match.index + match[0].length);
    sites.set(match.index, { specifier, kind: isType ? 'type' : 'value', line: lineAt(text, match.index) });
  }
  for (const match of code.matchAll(bareOrLazyImport)) {
    const isLazy = match[1] === '(';
    const specifier = literalAt(text, match.index + match[0].length);
    if (sites.has(match.index) || (!isLazy && specifier === undefined)) continue;
    sites.set(match.index, { specifier, kind: isLazy ? 'lazy' : 'value', line: lineAt(text, match.index) });
  }
  return [...sites.values()].sort((a, b) => a.line - b.line);
}

/** `import { type A, type B } from`: nothing of it is left at run time but the evaluation of the module. */
function importsOnlyTypes(clause: string): boolean {
  const braces = /^(?:import|export)\s*\{([^}]*)\}\s*from\s*$/.exec(clause);
  const names = (braces?.[1] ?? '').split(',').filter((name) => name.trim() !== '');
  return names.length > 0 && names.every((name) => /^\s*type\s/.test(name));
}

/** The string literal without substitutions that starts at `offset`, if one does. */
function literalAt(text: string, offset: number): string | undefined {
  return /^(['"`])((?:(?!\1|\$\{)[^\\\n])*)\1/.exec(text.slice(offset, offset + 400))?.[2];
}

// ---------------------------------------------------------------- telling code from the rest

/** Keywords after which a `/` begins a regular expression; after other words it divides. */
const beforeRegex = /(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield|instanceof)$/;

function blankNonCode(text: string): string {
  const out: string[] = [];
  /** Depth of open braces per template substitution that is open; the last is the innermost. */
  const substitutions: number[] = [];
  let at = 0;
  const keep = (end: number): void => {
    out.push(text.slice(at, end));
    at = end;
  };
  const blank = (end: number): void => {
    out.push(text.slice(at, end).replace(/[^\n]/g, ' '));
    at = end;
  };
  /** Blanks a template's characters up to and with its closing backtick or the `${` of a substitution. */
  const template = (): void => {
    const end = endOfTemplatePart(text, at);
    blank(end - 1);
    if (text[at] === '{') substitutions.push(0);
    keep(end);
  };
  while (at < text.length) {
    const char = text[at];
    const two = text.slice(at, at + 2);
    if (two === '//') blank(endAfter(text, '\n', at, 0));
    else if (two === '/*') blank(endAfter(text, '*/', at + 2, 2));
    else if (char === '"' || char === "'") {
      const end = endOfQuoted(text, at);
      keep(at + 1);
      blank(end - 1);
      keep(end);
    } else if (char === '`') {
      keep(at + 1);
      template();
    } else if (char === '/' && beginsRegex(out)) blank(endOfRegex(text, at));
    else if (char === '}' && substitutions.at(-1) === 0) {
      substitutions.pop();
      keep(at + 1);
      template();
    } else {
      const depth = substitutions.length - 1;
      if (char === '{' && depth >= 0) substitutions[depth] = substitutions[depth]! + 1;
      if (char === '}' && depth >= 0) substitutions[depth] = substitutions[depth]! - 1;
      keep(at + 1);
    }
  }
  return out.join('');
}

/** The offset `extra` characters behind the start of the next `mark`; the end of the text when there is none. */
function endAfter(text: string, mark: string, from: number, extra: number): number {
  const found = text.indexOf(mark, from);
  return found === -1 ? text.length : found + extra;
}

function endOfQuoted(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i += 1) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === text[start]) return i + 1;
  }
  return text.length;
}

function endOfTemplatePart(text: string, start: number): number {
  for (let i = start; i < text.length; i += 1) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === '`') return i + 1;
    else if (text[i] === '$' && text[i + 1] === '{') return i + 2;
  }
  return text.length;
}

function beginsRegex(out: readonly string[]): boolean {
  const before = out.slice(-200).join('').trimEnd();
  return before === '' || /[(,=:[!&|?{};+\-*%<>~^]$/.test(before) || beforeRegex.test(before);
}

function endOfRegex(text: string, start: number): number {
  let inClass = false;
  for (let i = start + 1; i < text.length; i += 1) {
    const char = text[i];
    if (char === '\\') i += 1;
    else if (char === '[') inClass = true;
    else if (char === ']') inClass = false;
    else if (char === '\n' || (char === '/' && !inClass)) return i + 1;
  }
  return text.length;
}
