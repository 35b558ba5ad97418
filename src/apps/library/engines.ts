/**
 * The engines alone, for programs that bring their own world and for browsers: pure, without Node. `cairn/consensus` resolves to this under
 * the condition `browser`.
 */
export type { Millis, NodeId } from '../../core/base/brand.ts';
export { toMillis, toNodeId } from '../../core/base/brand.ts';
export { crc32 } from '../../core/base/crc32.ts';
export { CairnError, type ErrorCode } from '../../core/base/errors.ts';
export * from '../../core/consensus/index.ts';
