/** certbot's arguments. Values are passed only as `--option=value`, so that none can be read as an option. */

export interface CertbotOptions {
  /** The name of the lineage. */
  readonly lineage: string
  /** The certificate's names: the domain and its aliases. */
  readonly names: readonly string[]
  readonly email: string
  /** The account of certbot's to order with. */
  readonly account: string
  /** A profile of the CA (draft-ietf-acme-profiles); certbot has the option since 4.0. */
  readonly profile: string | undefined
  readonly webroot: string
  /** What certbot runs after each renewal of this lineage, whoever started certbot. */
  readonly deployHook: string
  readonly server: string
  readonly configDir: string
  readonly workDir: string | undefined
  readonly logsDir: string | undefined
}

/**
 * Arguments that order one certificate for all names of a route, in one lineage, by HTTP-01 (RFC 8555, 8.3). Whether a
 * certificate is due has been decided before, so certbot must neither find it "not yet due" nor ask about names that have changed.
 */
export function orderArguments(options: CertbotOptions): string[] {
  return [
    'certonly',
    '--non-interactive',
    '--agree-tos',
    '--no-eff-email',
    '--no-directory-hooks',
    '--force-renewal',
    '--authenticator=webroot',
    `--webroot-path=${options.webroot}`,
    '--preferred-challenges=http-01',
    `--cert-name=${options.lineage}`,
    '--renew-with-new-domains',
    ...options.names.map((name) => `--domain=${name}`),
    `--email=${options.email}`,
    `--account=${options.account}`,
    `--deploy-hook=${options.deployHook}`,
    ...(options.profile === undefined ? [] : [`--required-profile=${options.profile}`]),
    `--server=${options.server}`,
    ...folderArguments(options),
  ]
}

/** Arguments that make an account at the CA, in a configuration directory that has none: certbot refuses otherwise. */
export function registerArguments(
  options: Pick<CertbotOptions, 'email' | 'server' | 'configDir' | 'workDir' | 'logsDir'>,
): string[] {
  return [
    'register',
    '--non-interactive',
    '--agree-tos',
    '--no-eff-email',
    '--no-directory-hooks',
    `--email=${options.email}`,
    `--server=${options.server}`,
    ...folderArguments(options),
  ]
}

/** Arguments that delete a lineage. */
export function deleteArguments(
  options: Pick<CertbotOptions, 'lineage' | 'configDir' | 'workDir' | 'logsDir'>,
): string[] {
  return [
    'delete',
    '--non-interactive',
    '--no-directory-hooks',
    `--cert-name=${options.lineage}`,
    ...folderArguments(options),
  ]
}

/** The hook only touches a file that the running API checks; certbot runs the hook through a shell. */
export function deployHook(markPath: string): string {
  return `touch '${markPath.replaceAll("'", `'\\''`)}'`
}

function folderArguments({
  configDir,
  workDir,
  logsDir,
}: Pick<CertbotOptions, 'configDir' | 'workDir' | 'logsDir'>): string[] {
  return [
    `--config-dir=${configDir}`,
    ...(workDir === undefined ? [] : [`--work-dir=${workDir}`]),
    ...(logsDir === undefined ? [] : [`--logs-dir=${logsDir}`]),
  ]
}
