#!/usr/bin/env bash
# Make the data sets for training and validation with endless keypoint clips, as motions without
# pictures (datagen.launch --labels-only). It takes seconds and a few MB and gives the same bytes
# every time.
#
#   train      all motions but those below, their mirror images and changes of speed
#   subjects   people held out from training: CMU's Indian dance, martial arts, window washing
#   acrobats   poses held out from training: DeepMimic's flips, rolls, crawling, getting up
#
#   CMU="cmu_smpl cmu_smpl2" DEEPMIMIC=deepmimic bash benchmarks/validation.sh
#
# Environment variables:
#   CMU        folders of CMU's takes in AMASS's layout. Default: none; then subjects are embedded
#              dances, tai chi, kicks and window washing, which are left out of train
#   DEEPMIMIC  folder of DeepMimic's humanoid3d_*.txt. Default: the embedded 15 of them
#   OUT        folder of the three sets (default: validation): OUT/train/shards and so on
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
out=${OUT:-validation}
read -ra cmu <<<"${CMU:-}"
read -ra deepmimic <<<"${DEEPMIMIC:-}"

# Names match as a whole, as `spinkick` is no `kick`. DeepMimic's other takes (run, walk, spinkick)
# are in neither set, so that all takes of a subject are on one side of the split.
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
