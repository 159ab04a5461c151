/** Jobs that run once for everyone who wants them at the same time. */

/** At most one run of each key at a time: `run` starts the job or joins the run that has not ended yet, `running` is that run. */
export function singleFlight<T>() {
  const flights = new Map<string, Promise<T>>()
  return {
    run: (job: () => Promise<T>, key = ''): Promise<T> => {
      const flight = flights.get(key) ?? job().finally(() => flights.delete(key))
      flights.set(key, flight)
      return flight
    },
    running: (key = ''): Promise<T> | undefined => flights.get(key),
    keys: (): readonly string[] => [...flights.keys()],
  }
}
