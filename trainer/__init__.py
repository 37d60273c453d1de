"""Train Motion HMR on a folder of shards; knows nothing of datagen."""
