#!/usr/bin/env bash
# From a fresh clone to aligned videos: environment, synthetic videos,
# TFRecords, training, evaluation, embeddings, visualization.
#
# Usage: bash run.sh [FOLDER]     FOLDER of the results, default: demo
#
# Running it again continues where it stopped and repeats nothing but the
# last pictures; remove FOLDER to start afresh.
set -euo pipefail
target="${1:-"$(dirname "${BASH_SOURCE[0]}")/demo"}"
[[ "$target" == /* ]] || target="$PWD/$target"
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

videos="$target/videos"
records="$target/tfrecords"
logs="$target/logs"
mkdir -p "$target"
started=$SECONDS

step() { printf '\n== %s (%ds)\n' "$1" "$((SECONDS - started))"; }

if [ ! -e "$videos/complete" ]; then
  step "Filming synthetic pouring videos"
  python -m dataset_preparation.synthetic_pouring \
    --output_dir "$videos" --num_train 60 --num_val 14 --seed 0
  touch "$videos/complete"
fi

for split in train val; do
  if [ ! -e "$records/$split-complete" ]; then
    step "Converting the $split videos to TFRecords"
    python -m dataset_preparation.videos_to_tfrecords \
      --input_dir "$videos/$split" --name "pouring_$split" \
      --label_file "$videos/labels.json" --expected_segments 5 \
      --output_dir "$records" --width 160 --height 120 --overwrite
    touch "$records/$split-complete"
  fi
done

step "Training"
python train.py --logdir "$logs" --config configs/demo.yml --force_train \
  --set "PATH_TO_TFRECORDS=$records"

step "Evaluating the untrained and the trained network"
python evaluate.py --logdir "$logs"

step "Extracting embeddings and aligning the videos"
python extract_embeddings.py --logdir "$logs" --dataset pouring --split val \
  --save_path "$target/embeddings.npy" --keep_data
for picture in mp4 png; do
  python visualize_alignment.py --embs_path "$target/embeddings.npy" \
    --video_path "$target/aligned.$picture" --use_dtw
done

step "Done"
python -m evaluation.metrics --logdir "$logs"
cat <<EOF

Aligned videos: $target/aligned.mp4 (a still: aligned.png)
Embeddings:     $target/embeddings.npy
TensorBoard:    $PWD/.venv/bin/tensorboard --logdir $logs
EOF
