import { base64, unbase64, type Bytes } from './bytes'

export interface Block {
  type: string
  bytes: Bytes
}

export function encodePEM(type: string, b: Uint8Array): string {
  return `-----BEGIN ${type}-----\n${base64(b).replace(/.{1,64}/g, '$&\n')}-----END ${type}-----\n`
}

// decodePEM returns every block of a text.
export function decodePEM(s: string): Block[] {
  const out: Block[] = []
  const re = /-----BEGIN ([A-Z0-9 ]+)-----([\s\S]*?)-----END \1-----/g
  for (let m = re.exec(s); m; m = re.exec(s)) out.push({ type: m[1]!, bytes: unbase64(m[2]!) })
  return out
}

export function decodeOne(s: string, type: string): Bytes {
  const block = decodePEM(s).find(b => b.type === type)
  if (!block) throw new Error(`no PEM block "${type}"`)
  return block.bytes
}
