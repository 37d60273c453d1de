#!/usr/bin/env bash
# The whole system in minutes on a laptop: every line below is a command you can run yourself.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$PWD/.venv/bin:$PATH"
run() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}
laptop=(--device cpu --backbone resnet18 --image-size 112)

run python -m datagen.launch --num-shards 6 --clips-per-shard 16 --out demo/shards
run python -m datagen.launch --num-shards 2 --clips-per-shard 8 --split test --out demo/test/shards
run python -m datagen.verify demo/shards
run python -m datagen.inspect demo/shards --out demo/pictures
run python -m trainer.fit --shards demo/shards --out demo/run --steps 120 "${laptop[@]}"
run python -m trainer.evaluate --checkpoint demo/run/last.pt --shards demo/test/shards --device cpu

echo
echo "Look at:"
ls demo/pictures/*.png demo/run/*.png
