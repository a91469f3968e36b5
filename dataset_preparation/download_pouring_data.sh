#!/usr/bin/env bash
# Downloads the public Pouring data set, already converted to TFRecords.
#
#   bash dataset_preparation/download_pouring_data.sh [FOLDER]
#
# FOLDER is /tmp/pouring_tfrecords unless given. A file has its name only once
# it is whole; run the script again to go on after an interruption. POURING_URL
# names another place to download from, such as a mirror.
set -u

folder=${1:-/tmp/pouring_tfrecords}
url=${POURING_URL:-https://storage.googleapis.com/tcc-pouring}
files="pouring_train-0-of-2.tfrecord pouring_train-1-of-2.tfrecord
  pouring_val-0-of-1.tfrecord"

fail() {
  echo "error: $*" >&2
  exit 1
}

# Both go on where the file $2 ends.
if command -v curl >/dev/null; then
  download() { curl --fail --location --continue-at - --output "$2" "$1"; }
elif command -v wget >/dev/null; then
  download() { wget --continue --output-document "$2" "$1"; }
else
  fail "neither curl nor wget is installed; install one of them, such as by" \
    "'apt install curl', and run this again"
fi

mkdir -p "$folder" || fail "$folder: can't make this folder; name another one"

for file in $files; do
  if [ -e "$folder/$file" ]; then
    echo "$folder/$file is there already"
    continue
  fi
  # No file pattern of ours matches a name that starts with a dot.
  part="$folder/.incomplete-$file"
  download "$url/$file" "$part" ||
    fail "$url/$file: the download stopped; check the network and run this" \
      "again, it goes on where it stopped"
  # A network's sign-in page arrives without an error too. A record starts with
  # its length in eight bytes, the last four of which are zero.
  [ "$(head -c 8 "$part" | tail -c 4 | tr -d '\0' | wc -c)" -eq 0 ] || {
    rm -f "$part"
    fail "$url/$file: received something else than records; check the network" \
      "or proxy and run this again"
  }
  mv "$part" "$folder/$file" || fail "$folder/$file: can't be written"
done
echo "The Pouring data set is complete in $folder"
