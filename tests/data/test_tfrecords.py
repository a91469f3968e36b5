import re
import shlex

import numpy as np
import pytest
import tensorflow as tf

from core.errors import UserError
from data import tfrecords
from tests.helpers import record_files
from tests.helpers.errors import message_of
from tests.helpers.processes import run_python


def test_records_are_listed_in_order_and_read_back_byte_by_byte(tmp_path):
  rng = np.random.default_rng(0)
  shards = [[rng.bytes(n) for n in (0, 1, 5000)], [], [b"a\0\0", rng.bytes(77)]]
  paths = record_files.write(tmp_path, shards)
  records = tfrecords.list_records(paths)
  assert [tfrecords.read_record(r) for r in records] == sum(shards, [])
  assert [r.path for r in records] == [paths[i] for i in (0, 0, 0, 2, 2)]


# 300 bytes are the whole last record of 296 and the end of the first.
@pytest.mark.parametrize("cut, offset", [(1, 78), (290, 78), (300, 12)])
def test_a_truncated_file_is_named(tmp_path, cut, offset):
  [path] = record_files.write(tmp_path, [[b"x" * 50, b"y" * 280]])
  path.write_bytes(path.read_bytes()[:-cut])
  assert message_of(tfrecords.list_records, [path]) == (
    f"{path}: expected a TFRecord file of whole records, received"
    f" {362 - cut} bytes where the record at byte {offset} is truncated;"
    " convert or download it again"
  )
  path.write_text("this is only text, however long it may be")
  with pytest.raises(UserError, match=f"{path}: expected a TFRecord file"):
    tfrecords.list_records([path])


@pytest.mark.parametrize("kind", ["GZIP", "ZLIB"])
def test_compressed_files_are_unpacked_by_the_command_of_the_message(
  tmp_path, kind
):
  folder = tmp_path / "with spaces"
  folder.mkdir()
  paths = [folder / f"toy_train-{i}-of-2.tfrecord" for i in range(2)]
  rng = np.random.default_rng(0)
  contents = [[rng.bytes(n) for n in (5, 9000)], [b"x" * 3000]]
  for path, content in zip(paths, contents, strict=True):
    with tf.io.TFRecordWriter(str(path), kind) as writer:
      for data in content:
        writer.write(data)
  message = message_of(tfrecords.list_records, paths)
  assert message.startswith(
    f"{paths[0]}: expected an uncompressed TFRecord file, received one"
    f" compressed with {kind}; unpack it and those beside it with `python -c"
  )
  (command,) = re.findall("`(.*)`$", message)
  done = run_python(*shlex.split(command)[1:], cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert sorted(folder.iterdir()) == paths
  read = [tfrecords.read_record(r) for r in tfrecords.list_records(paths)]
  assert read == sum(contents, [])


@pytest.mark.parametrize("place", [0, 280])
def test_bytes_that_changed_are_told(tmp_path, place):
  [path] = record_files.write(tmp_path, [[b"x" * 50, b"y" * 280]])
  first, second = tfrecords.list_records([path])
  record_files.flip_bit(path, second.offset + place)
  assert tfrecords.read_record(first) == b"x" * 50
  assert message_of(tfrecords.read_record, second) == (
    f"{path}: record at byte {second.offset}: expected data that fit their"
    " checksum, received damaged data; copy the file again or convert the"
    " videos again"
  )
