/** A bar on the terminal while much is copied; nothing where nobody watches. */
import { formatBytes } from '../output.ts';
import { onInterrupt } from './interrupt.ts';

export interface Progress {
  advance(bytes: number): void;
  fileDone(): void;
  stop(): void;
}

/** Characters of the bar, and of what stands beside it: on a narrow terminal the bar gives way first. */
const [barMin, barMax, figuresWidth] = [8, 40, 56];

const silent: Progress = { advance: () => {}, fileDone: () => {}, stop: () => {} };

export async function openProgress(totalBytes: number, totalFiles: number, json: boolean): Promise<Progress> {
  if (json || !process.stderr.isTTY || totalFiles === 0) return silent;
  const { SingleBar } = await import('cli-progress');
  let bytes = 0;
  let files = 0;
  const startedAt = Date.now();
  const bar = new SingleBar({
    stream: process.stderr,
    format: '{percentage}%  {bar}  {done} of {all}  {rate}/s  {files}/{allFiles} files',
    formatValue: (value, _options, type) => (type === 'percentage' ? String(value).padStart(3) : String(value)),
    barsize: Math.max(barMin, Math.min(barMax, (process.stderr.columns || 80) - figuresWidth)),
    hideCursor: true,
    clearOnComplete: true,
    etaBuffer: 100,
  });
  const payload = () => ({
    done: formatBytes(bytes),
    all: formatBytes(totalBytes),
    files,
    allFiles: totalFiles,
    rate: formatBytes((bytes * 1000) / Math.max(1, Date.now() - startedAt)),
  });
  bar.start(Math.max(1, totalBytes), 0, payload());
  const forget = onInterrupt(() => bar.stop()); // gives the terminal its cursor back
  return {
    advance(more) {
      bytes += more;
      bar.update(Math.min(bytes, Math.max(1, totalBytes)), payload());
    },
    fileDone() {
      files += 1;
      bar.update(payload());
    },
    stop() {
      forget();
      bar.stop();
    },
  };
}
