/** The rules of paths are shared with clients. */
export { parsePath, show } from '../../../core/protocol/paths.ts';
