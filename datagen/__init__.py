"""Turn people and real videos into shards of labelled clips."""
