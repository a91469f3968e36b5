"""The checksums of TFRecord files."""

import struct

_CHECKSUM = struct.Struct("<I")


def masked(checksum: int) -> bytes:
  """A CRC-32C as a TFRecord file stores it, behind what it is of.

  Args:
    checksum: As `google_crc32c.value` returns it.

  Returns:
    4 bytes.
  """
  rotated = (checksum >> 15) | (checksum << 17)
  return _CHECKSUM.pack((rotated + 0xA282EAD8) & 0xFFFFFFFF)
