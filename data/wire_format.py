"""The wire format of protocol buffers, as far as records need it.

See https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

_LENGTH_DELIMITED = 2


def encode_head(number: int, length: int) -> bytes:
  """Encode the tag of a field of bytes, and their number."""
  head = bytearray([number << 3 | _LENGTH_DELIMITED])
  while length > 127:
    head.append(length & 127 | 128)
    length >>= 7
  head.append(length)
  return bytes(head)


class MessageReader:
  """Reads a message from its start to its end, a piece at a time.

  Args:
    file: The file, at the start of the message.
    length: Number of bytes of the message.

  Attributes:
    left: Number of bytes that are not read yet.
    checksum: CRC-32C of those that are.
  """

  def __init__(self, file: BinaryIO, length: int) -> None:
    self._file = file
    self.left = length
    self.checksum = 0

  def read(self, count: int) -> bytes:
    """Read bytes; a ValueError if there are fewer."""
    data = self._file.read(count) if count <= self.left else b""
    if len(data) != count:
      raise ValueError("one that ends too early")
    self.left -= count
    self.checksum = google_crc32c.extend(self.checksum, data)
    return data

  def iterate_fields(self, length: int) -> Iterator[tuple[int, int]]:
    """Iterate over the fields of the message in the next bytes.

    Args:
      length: Number of bytes of that message.

    Yields:
      Number of a field and its length; it has to be read before the next.

    Raises:
      ValueError: A field is no text, bytes or message, or ends too late.
    """
    end = self.left - length
    while self.left > end:
      tag = self._read_number()
      if tag & 7 != _LENGTH_DELIMITED:
        raise ValueError("other data")
      yield tag >> 3, self._read_number()
    if self.left < end:
      raise ValueError("a field that ends too late")

  def _read_number(self) -> int:
    number = shift = 0
    while True:
      [byte] = self.read(1)
      number |= (byte & 127) << shift
      if byte < 128:
        return number
      shift += 7
