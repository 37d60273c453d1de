#!/usr/bin/env bash
# Make the paper's Tables 1-3 from scratch: Table 2's data sets, test clips, then every network. The
# same command again resumes a stopped run.
#
#   bash benchmarks/tables.sh --small            on a laptop: two hours on 2 CPU cores
#   bash benchmarks/tables.sh --body smpl/ --motions amass/ --videos kinetics/       the real thing
#
# Options after --small go to datagen.launch. Environment variables:
#   OUT     folder of all results (default: tables)
#   TESTS   additional evaluation sets, made by datagen.ingest: "3dpw=3dpw-test/ pose2sim=pose2sim/"
#   TABLES  options of trainer.tables: "--seeds 3 --real unlabelled/ --options steps=50000"
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
out=${OUT:-tables}
read -ra tests <<<"${TESTS:-}"
read -ra tables <<<"${TABLES:-}"
run() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

train=(--num-shards 5000) held_out=(--num-shards 100)
if [[ ${1:-} == --small ]]; then
    shift
    tables+=(--small)
    train=(--num-shards 8 --clips-per-shard 32 --stride 100)
    held_out=(--num-shards 2 --clips-per-shard 24 --stride 100)
fi
# All clips have Table 3's greatest length. Shorter rows train on random parts of these clips, and
# all rows are evaluated on the same clips. The variants share a library, as only their compositing
# differs.
common=(--clip-length 56 --library "$out/library" "$@")

make() { run python -m datagen.launch --out "$out/$1" "${train[@]}" "${common[@]}" "${@:2}"; }
make full
make no-occluders --no-occluders
make no-tracking --no-occluders --no-track-camera
make static --no-occluders --background static
run python -m datagen.launch --out "$out/test" --split test "${held_out[@]}" "${common[@]}"

run python -m trainer.tables --out "$out" --test "held-out=$out/test" "${tests[@]}" \
    --data "full=$out/full" "no-occluders=$out/no-occluders" "no-tracking=$out/no-tracking" \
    "static=$out/static" "${tables[@]}"
