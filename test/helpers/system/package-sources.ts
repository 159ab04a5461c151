/** The package's exports, each with the source that it is compiled from. */
import packageJson from '../../../package.json' with { type: 'json' }

/** By the name that another project imports; the paths are relative to the package. */
export const SOURCE_OF: ReadonlyMap<string, string> = new Map(
  Object.entries(packageJson.exports).map(([name, path]) => [
    `${packageJson.name}${name.slice(1)}`,
    path.replace(/^\.\/dist\/(.*)\.js$/, './$1.ts'),
  ]),
)
