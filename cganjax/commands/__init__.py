"""The verbs that need no recipe: `python -m cganjax VERB`, one file a verb with `main(argv) -> exit code`."""

VERBS = ("classify", "decoy", "doctor", "evaluate", "interpolate", "reference", "sample")
