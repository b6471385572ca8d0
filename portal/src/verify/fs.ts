// A file system for the Go verifier: the files that were dropped on the page,
// as the directory /ledger, for reading only. It runs in a worker, where reads
// of files can be synchronous. Only a window of a file is in memory.

const WINDOW = 4 << 20 // bytes

type Callback = (error: unknown, ...results: unknown[]) => void

interface Open {
  blob?: Blob // none: the directory
  at: number
  from: number
  window: Uint8Array
}

let dropped = new Map<string, Blob>()
const open = new Map<number, Open>()
let next = 100

export function setFiles(files: { name: string; blob: Blob }[]) {
  dropped = new Map(files.map(f => [f.name, f.blob]))
}

const problem = (code: string) => Object.assign(new Error(code), { code })

function stat(blob: Blob | undefined) {
  const now = 0
  return {
    dev: 0, ino: 0, nlink: 1, uid: 0, gid: 0, rdev: 0, blksize: 4096, blocks: 0, atimeMs: now, mtimeMs: now, ctimeMs: now,
    mode: blob ? 0o100444 : 0o040555, size: blob?.size ?? 0, isDirectory: () => !blob,
  }
}

function find(path: string, cb: Callback, use: (blob: Blob | undefined) => void) {
  if (path === '/ledger') return use(undefined)
  const blob = dropped.get(path.replace(/^\/ledger\//, ''))
  if (!blob) return cb(problem('ENOENT'))
  use(blob)
}

function read(f: Open, into: Uint8Array, at: number): number {
  if (!f.blob || at >= f.blob.size) return 0
  if (at < f.from || at >= f.from + f.window.length) {
    f.from = at
    f.window = new Uint8Array(new FileReaderSync().readAsArrayBuffer(f.blob.slice(at, at + WINDOW)))
  }
  const part = f.window.subarray(at - f.from, at - f.from + into.length)
  into.set(part)
  return part.length
}

const refuse = (...args: unknown[]) => (args[args.length - 1] as Callback)(problem('ENOSYS'))

const fs: Record<string, unknown> = {
  constants: { O_WRONLY: 1, O_RDWR: 2, O_CREAT: 64, O_EXCL: 128, O_TRUNC: 512, O_APPEND: 1024, O_DIRECTORY: 65536 },
  writeSync: (_fd: number, b: Uint8Array) => {
    console.debug(new TextDecoder().decode(b))
    return b.length
  },
  write: (_fd: number, b: Uint8Array, _offset: number, length: number, _at: number | null, cb: Callback) => {
    console.debug(new TextDecoder().decode(b))
    cb(null, length)
  },
  open: (path: string, _flags: number, _mode: number, cb: Callback) => find(path, cb, blob => {
    open.set(next, { blob, at: 0, from: 0, window: new Uint8Array() })
    cb(null, next++)
  }),
  close: (fd: number, cb: Callback) => {
    open.delete(fd)
    cb(null)
  },
  fstat: (fd: number, cb: Callback) => (open.has(fd) ? cb(null, stat(open.get(fd)!.blob)) : cb(problem('EBADF'))),
  stat: (path: string, cb: Callback) => find(path, cb, blob => cb(null, stat(blob))),
  lstat: (path: string, cb: Callback) => find(path, cb, blob => cb(null, stat(blob))),
  readdir: (_path: string, cb: Callback) => cb(null, [...dropped.keys()]),
  read: (fd: number, b: Uint8Array, offset: number, length: number, position: number | null, cb: Callback) => {
    const f = open.get(fd)
    if (!f) return cb(problem('EBADF'))
    try {
      const n = read(f, b.subarray(offset, offset + length), position ?? f.at)
      if (position === null) f.at += n
      cb(null, n)
    } catch {
      cb(problem('EIO'))
    }
  },
  fsync: (_fd: number, cb: Callback) => cb(null),
}
for (const name of ['chmod', 'chown', 'fchmod', 'fchown', 'ftruncate', 'lchown', 'link', 'mkdir', 'readlink', 'rename', 'rmdir', 'symlink', 'truncate', 'unlink', 'utimes']) {
  fs[name] = refuse
}
Object.assign(globalThis, { fs })
