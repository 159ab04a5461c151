/** Certificates in bulk, where certbot keeps its lineages. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

/** The extensions of Let's Encrypt's certificates, without those that only public trust needs. */
const CONFIGURATION = `[req]
distinguished_name = nobody
[nobody]
[intermediate]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = critical,DNS:$ENV::DOMAIN
`
const LEAF_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
const INTERMEDIATE_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384']

/**
 * Makes a lineage for each domain in certbot's directory: a P-256 leaf for 90 days under a P-384 intermediate under an RSA root, as Let's Encrypt
 * has them. The CA is removed with the directory. One openssl per certificate, as many at a time as there are cores: 1000 in a few seconds.
 */
export async function makeLineages(configDir: string, domains: readonly string[], stopped: AbortSignal): Promise<void> {
  const folder = join(configDir, 'bench-ca')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeFileSync(join(folder, 'ca.conf'), CONFIGURATION)
  const make = (args: readonly string[], domain: string) => makeCertificate(folder, args, domain, stopped)
  const root = ['-newkey', 'rsa:2048', '-keyout', 'root.key', '-out', 'root.pem', '-subj', '/CN=Bench Root']
  await make([...root, '-days', '100', '-extensions', 'intermediate'], 'unused.example.com')
  const signed = ['-CA', 'root.pem', '-CAkey', 'root.key', '-subj', '/CN=Bench Intermediate']
  const intermediate = [...INTERMEDIATE_KEY, ...signed, '-keyout', 'chain.key', '-out', 'chain.pem']
  await make([...intermediate, '-days', '95', '-extensions', 'intermediate'], 'unused.example.com')
  const chain = readFileSync(join(folder, 'chain.pem'), 'utf8')

  const waiting = [...domains]
  const lanes = Array.from({ length: availableParallelism() }, async () => {
    for (let domain = waiting.shift(); domain !== undefined; domain = waiting.shift()) {
      const archive = join(configDir, 'archive', domain)
      mkdirSync(archive, { recursive: true })
      const files = ['-keyout', join(archive, 'privkey1.pem'), '-out', join(archive, 'cert1.pem')]
      const leaf = [...LEAF_KEY, '-CA', 'chain.pem', '-CAkey', 'chain.key', '-subj', '/', ...files]
      await make([...leaf, '-days', '90', '-extensions', 'leaf'], domain)
      layLineage(configDir, domain, chain)
    }
  })
  await Promise.all(lanes)
}

async function makeCertificate(folder: string, args: readonly string[], domain: string, signal: AbortSignal) {
  const request = ['req', '-x509', '-config', 'ca.conf', '-sha256', '-nodes', ...args]
  const env = { PATH: process.env.PATH, DOMAIN: domain }
  const child = spawn('openssl', request, { cwd: folder, env, signal, stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  const [exitCode] = await once(child, 'close')
  if (exitCode !== 0) throw new Error(`openssl req ended with ${exitCode}: ${output}`)
}

/** The rest of a lineage: the chain, the full chain, the symlinks in `live`, and certbot's renewal file. */
function layLineage(configDir: string, domain: string, chain: string): void {
  const [archive, live] = [join(configDir, 'archive', domain), join(configDir, 'live', domain)]
  mkdirSync(live, { recursive: true })
  mkdirSync(join(configDir, 'renewal'), { recursive: true })
  writeFileSync(join(archive, 'chain1.pem'), chain)
  writeFileSync(join(archive, 'fullchain1.pem'), readFileSync(join(archive, 'cert1.pem'), 'utf8') + chain)
  for (const name of ['cert', 'chain', 'fullchain', 'privkey'])
    symlinkSync(join(archive, `${name}1.pem`), join(live, `${name}.pem`))
  writeFileSync(join(configDir, 'renewal', `${domain}.conf`), 'version = 2.1.0\n[renewalparams]\naccount = 0\n')
}
