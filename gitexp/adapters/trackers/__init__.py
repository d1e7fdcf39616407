"""Files of other trackers as values; no tracker needs to be installed."""
