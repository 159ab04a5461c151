/** The problems that a public linter finds in a description of the API. */
import { createConfig, lintFromString } from '@redocly/openapi-core'

const config = await createConfig({
  // Each recommended rule, its warnings as errors.
  extends: ['recommended-strict'],
  rules: {
    // Not among the recommended ones, and checked here all the same.
    'operation-description': 'error',
    'operation-tag-defined': 'error',
    'parameter-description': 'error',
    'path-params-defined': 'error',
    'response-contains-header': {
      severity: 'error',
      names: { '2XX': ['X-Correlation-ID'], '4XX': ['X-Correlation-ID'] },
    },
    'spec-example-values': 'error',
    'spec-strict-refs': 'error',
  },
})

/** Every problem as one line; no rule is switched off. Nothing outside this process is queried. */
export async function lint(description: unknown): Promise<readonly string[]> {
  const problems = await lintFromString({ source: JSON.stringify(description), config })
  return problems.map(({ ruleId, message, location }) => `${ruleId}: ${location[0]?.pointer}: ${message}`)
}
