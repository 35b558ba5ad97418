// What can be checked of the documents without running anything: that what they point to is there.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesBelow, root } from './files.mjs';

const adrStatuses = ['proposed', 'accepted', 'superseded by'];
const adrSections = ['Question', 'Decision', 'Why', 'What it costs', 'What would change our mind'];

/** Every violation, as `file:line: what is wrong`. */
export function checkDocs() {
  const documents = filesBelow('.', (path) => path.endsWith('.md'));
  return [...documents.flatMap(checkReferences), ...checkDecisions(documents)];
}

/** @returns {string[]} */
function checkReferences(/** @type {string} */ path) {
  const wrong = /** @type {string[]} */ ([]);
  let isFenced = false;
  for (const [index, line] of readFileSync(join(root, path), 'utf8').split('\n').entries()) {
    if (/^\s*(```|~~~)/.test(line)) isFenced = !isFenced;
    const mistakes = [...unknownScripts(line), ...(isFenced ? [] : brokenReferences(path, line))];
    wrong.push(...mistakes.map((what) => `${path}:${index + 1}: ${what}`));
  }
  return wrong;
}

/**
 * Links and paths of the repository in backticks. A path may end in `:line` or `/`; one with a pattern in it
 * (`*`, `{`, `<`, `…`) is an example, not a reference.
 * @param {string} path
 * @param {string} line
 * @returns {string[]}
 */
export function brokenReferences(path, line) {
  const wrong = [];
  for (const [, target = ''] of line.replace(/`[^`]*`/g, '').matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [file = '', anchor] = target.split('#');
    const full = file === '' ? path : posix.join(dirname(path), decodeURIComponent(file));
    if (!existsSync(join(root, full))) wrong.push(`links to ${target}, which does not exist`);
    else if (anchor !== undefined && full.endsWith('.md') && !anchorsOf(full).has(anchor)) {
      wrong.push(`links to ${target}, which has no such heading`);
    }
  }
  for (const [, mention = ''] of line.matchAll(/`((?:src|docs|scripts|bin|\.ci)\/[^`\s]*)`/g)) {
    const file = mention.replace(/(:\d+)?\/?$/, '');
    if (!/[*{<…]/.test(file) && !existsSync(join(root, file))) wrong.push(`mentions ${mention}, which does not exist`);
  }
  return wrong;
}

/** @returns {string[]} */
export function unknownScripts(/** @type {string} */ line) {
  const known = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts;
  const named = [...line.matchAll(/\bnpm run (?:--silent )?([a-z][\w:-]*)/g)].map(([, name = '']) => name);
  return named
    .filter((name) => !Object.hasOwn(known, name))
    .map((name) => `runs ${name}, which package.json does not offer`);
}

/** @returns {Set<string>} the anchors of a document's headings, made as the usual renderers make them. */
function anchorsOf(/** @type {string} */ path) {
  const headings = readFileSync(join(root, path), 'utf8').matchAll(/^#{1,6}\s+(.*)$/gm);
  return new Set([...headings].map(([, text = '']) => anchorOf(text)));
}

function anchorOf(/** @type {string} */ heading) {
  const kept = heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '');
  return kept.replace(/\s/g, '-');
}

/** @returns {string[]} */
function checkDecisions(/** @type {string[]} */ documents) {
  const index = 'docs/adr/README.md';
  const indexText = existsSync(join(root, index)) ? readFileSync(join(root, index), 'utf8') : '';
  return documents
    .filter((path) => /^docs\/adr\/\d{4}-[^/]*\.md$/.test(path))
    .flatMap((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      const wrong = decisionMistakes(text).map((what) => `${path}:1: ${what}`);
      if (!indexText.includes(`(${posix.basename(path)})`)) wrong.push(`${index}:1: does not list ${path}`);
      return wrong;
    });
}

/** @returns {string[]} */
export function decisionMistakes(/** @type {string} */ text) {
  const status = /^Status: (.*)$/m.exec(text)?.[1] ?? '';
  const wrong = adrSections
    .filter((section) => !text.includes(`\n## ${section}\n`))
    .map((name) => `lacks "## ${name}"`);
  if (!adrStatuses.some((known) => status.startsWith(known))) wrong.push(`its status is "${status}"`);
  return wrong;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wrong = checkDocs();
  for (const line of wrong) console.log(line);
  console.log(wrong.length === 0 ? 'the documents point to what exists' : `${wrong.length} mistakes in the documents`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
}
