"""Value types used by all layers above: options, time limits, events and timings."""
