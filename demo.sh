#!/usr/bin/env bash
# The whole system in minutes on a laptop: every line below is a command you can run yourself.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$PWD/.venv/bin:$PATH"
run() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}
few=(--motion-limit 24 --stride 100 --video-limit 24 --windows-per-video 3)

run python -m datagen.launch --num-shards 6 --clips-per-shard 16 --out demo/shards "${few[@]}"
run python -m datagen.launch --split test --num-shards 2 --clips-per-shard 8 \
    --out demo/test/shards "${few[@]}"
run python -m datagen.verify demo/shards
rm -rf demo/run  # of an earlier demo: a run is never overwritten
# A network for two minutes of a laptop; the paper's own is the default where there is a GPU.
run python -m trainer.fit --shards demo/shards --val-shards demo/test/shards --out demo/run \
    --device cpu --backbone small --image-size 64 --frames 8 --batch-size 16 --lstm-width 128 \
    --lr 2e-3 --steps 400 --val-every 50 --threads 1  # two wait for each other where a core is busy
run python -m trainer.evaluate --checkpoint demo/run/last.pt --shards demo/test/shards \
    --device cpu


# A real person, through the network that ships: one camera of the Pose2Sim demo, with its truth.
person=datagen/assets/people/pose2sim_demo
run python -m datagen.ingest pose2sim --embedded --image-size 128 --out demo/person/shards
run python -m trainer.evaluate --shards demo/person/shards --mirror --device cpu \
    --out demo/person/evaluation
run python -m benchmarks.pose2sim --embedded --evaluation demo/person/evaluation/evaluation.json
run python -m datagen.overlay $person/clip.mp4 --keypoints $person/keypoints.npz \
    --out demo/person

run python -m datagen.inspect demo/shards --out demo/pictures \
    --results demo/person/*.mp4 demo/person/*.png demo/run/loss.png demo/run/evaluation/*/*.png

printf '\nLook at:\n'
ls demo/pictures/report.html demo/person/*.mp4 demo/person/*.png demo/run/loss.png \
    demo/pictures/sources.png
printf '\nThe report shows all of it: the data, the training and the real person.\n'
printf 'Next, your own video: .venv/bin/python -m datagen.overlay your.mp4\n'
