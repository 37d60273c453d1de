#!/usr/bin/env bash
# The fixed sets that endless keypoint clips are trained and validated on, as motions without
# pictures (datagen.launch --labels-only): seconds, a few MB, the same bytes every time.
#
#   train      all motions but those below, their mirror images and changes of speed
#   subjects   people that training never sees: CMU's Indian dance, martial arts, window washing
#   acrobats   postures that training never sees: DeepMimic's flips, rolls, crawling, getting up
#
#   CMU="cmu_smpl cmu_smpl2" DEEPMIMIC=deepmimic bash benchmarks/validation.sh
#
# By the environment:
#   CMU        folders of CMU's takes in AMASS's layout. Default: none; subjects are then embedded
#              dances, tai chi, kicks and window washing, which train leaves out
#   DEEPMIMIC  folder of DeepMimic's humanoid3d_*.txt. Default: the embedded 15 of them
#   OUT        folder of the three (default: validation): OUT/train/shards and so on
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
out=${OUT:-validation}
read -ra cmu <<<"${CMU:-}"
read -ra deepmimic <<<"${DEEPMIMIC:-}"

# Whole names, as `spinkick` is no `kick`. DeepMimic's other takes (run, walk, spinkick) are in
# neither set, so that all of a subject's takes are on one side.
acrobats='backflip|cartwheel|crawl|dance_a|dance_b|dance_spin|getup_facedown|getup_faceup|jump|kick'
acrobats="^(humanoid3d_)?($acrobats|roll|sideflip|spin|punch)\$"
deepmimics='backflip|cartwheel|crawl|dance_a|dance_b|getup_facedown|getup_faceup|jump|kick|punch'
deepmimics="^($deepmimics|roll|run|spin|spinkick|walk)\$"
versions='_(mirrored|quick|slow)$'
subjects='indian|martial|washwindow' held=("${cmu[@]}")
if ((${#cmu[@]} == 0)); then
    subjects='^(dance|front_kicks|tai_chi|wash_window)_[0-9]$' held=(embedded)
fi

make() {
    printf '\n\033[1m%s\033[0m\n' "$1"
    python -m datagen.launch --labels-only --split all --out "$out/$1/shards" "${@:2}"
}
make train --motions "${cmu[@]}" embedded --motions-without "$subjects|$deepmimics|$versions"
make subjects --motions "${held[@]}" --motions-only "$subjects"
make acrobats --motions "${deepmimic[@]:-embedded}" --motions-only "$acrobats"
