#!/usr/bin/env bash
# Run the whole system on a laptop in minutes; you can run every command below yourself.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$PWD/.venv/bin:$PATH"
run() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

# A real person, by the network that ships: one camera of the Pose2Sim demo, with ground truth.
person=datagen/assets/people/pose2sim_demo
run python -m datagen.ingest pose2sim --embedded --image-size 128 --out demo/person/shards
run python -m trainer.evaluate --shards demo/person/shards --mirror --device cpu \
    --out demo/person/evaluation
run python -m benchmarks.pose2sim --embedded --evaluation demo/person/evaluation/evaluation.json
run python -m datagen.overlay $person/clip.mp4 --keypoints $person/keypoints.npz \
    --out demo/person

# The data: people and scenes are rendered once, and composed to clips.
few=(--motion-limit 24 --stride 100 --video-limit 24 --windows-per-video 3)
run python -m datagen.launch --num-shards 6 --clips-per-shard 16 --out demo/shards "${few[@]}"
run python -m datagen.launch --split test --num-shards 2 --clips-per-shard 8 \
    --out demo/test/shards "${few[@]}"
run python -m datagen.verify demo/shards
rm -rf demo/run  # from an earlier demo, as trainer.fit never overwrites a run
# A network that a laptop trains in two minutes; on a GPU the paper's network is the default.
run python -m trainer.fit --shards demo/shards --val-shards demo/test/shards --out demo/run \
    --device cpu --backbone small --image-size 64 --frames 8 --batch-size 16 --lstm-width 128 \
    --lr 2e-3 --steps 400 --val-every 50 --threads 1  # several threads wait for each other on busy cores
run python -m trainer.evaluate --checkpoint demo/run/best.pt --shards demo/test/shards \
    --device cpu
printf '\nTwo minutes of training show that the steps work; such a network is hardly better than one\n'
printf 'constant pose.\n'

run python -m datagen.inspect demo/shards --out demo/pictures \
    --results demo/person/*.mp4 demo/person/*.png demo/person/evaluation/*.png \
    demo/run/loss.png demo/run/evaluation/*/*.png

printf '\nLook at: demo/pictures/report.html   (the data, the training and the real person)\n'
printf '         %s\n' demo/person/*.mp4 demo/person/*.png demo/run/loss.png demo/pictures/sources.png
printf 'Next: .venv/bin/python -m datagen.overlay your.mp4\n'
