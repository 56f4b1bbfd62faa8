"""Options, time limits, events and timings: value types used by the layers above."""
