import type { FileStore, StoreSpec } from './file-store.ts';

export async function openStore(spec: StoreSpec): Promise<FileStore> {
  switch (spec.kind) {
    case 'native':
      return (await import('./native-store.ts')).openNativeStore(spec.url);
    case 'directory':
      return new (await import('./directory-store.ts')).DirectoryStore(spec.writing, spec.reading);
  }
}
