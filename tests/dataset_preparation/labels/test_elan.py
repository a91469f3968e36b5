import pytest

from tests.helpers.label_files import describe_error, label, label_by

NEIGHBOR, NONE = "0" * 10 + "1" * 20, "0" * 10 + "1" * 15 + "-" * 5


def clock(seconds):
  return f"00:00:{seconds:06.3f}"


def row(start, end, phase, before="phases\t\t", formats=(clock, float)):
  times = (start, end, end - start)
  cells = (str(show(time)) for time in times for show in formats)
  return before + "\t".join([*cells, phase]) + "\n"


def write_rows(**options):
  return row(0, 1, "reach", **options) + row(1, 2.5, "pour", **options)


@pytest.mark.parametrize(
  "text",
  [
    write_rows(),
    write_rows(before="phases\t", formats=(clock,)),
    write_rows(before="", formats=(clock, float, lambda x: int(1000 * x))),
    write_rows(before="phases\tAnna\t"),
    write_rows(before='the "main" ones\t\t'),
    # As if with descriptions of a controlled vocabulary.
    write_rows().replace("\n", "\tdescription\n"),
    '"#file:///C:/x/clip1.mp4 -- offset: 0"\n' + write_rows(),
    "Begin Time - hh:mm:ss.ms\tBegin Time - ss.msec\tEnd Time - hh:mm:ss.ms\t"
    "End Time - ss.msec\tDuration - hh:mm:ss.ms\tDuration - ss.msec\tphases\n"
    + write_rows(before=""),
  ],
)
def test_text(tmp_path, text):
  path = tmp_path / "export.txt"
  assert label(path, text) == NEIGHBOR
  assert label(path, text, outside_segments="none") == NONE


def test_text_that_names_no_video_is_of_the_one_of_its_name(tmp_path):
  path = tmp_path / "clip1.txt"
  text = write_rows()
  assert label(path, text, ["x/clip1"]) == NEIGHBOR
  assert label(path, text, ["other"]) == NEIGHBOR
  assert describe_error(path, text, videos=["clip1", "clip2"]) == (
    "expected labels of video 'clip2', received those of 1 others such as"
    " 'clip1'; give the file, which names no video, the name of its video, or"
    " leave the video out"
  )


HEADED = (
  "Begin Time - hh:mm:ss.ms\tEnd Time - hh:mm:ss.ms\tphases\tnotes\n"
  f"{clock(0)}\t{clock(1)}\treach\tslow\n"
  f"{clock(1)}\t{clock(2.5)}\tpour\t\n"
)


@pytest.mark.parametrize("text", [HEADED, None])
def test_tiers(tmp_path, text):
  text = text or write_rows() + row(0, 1, "slow", "notes\t\t")
  path = tmp_path / "export.txt"
  assert label(path, text, label_tier="phases") == NEIGHBOR
  message = describe_error(path, text)
  assert "phases: reach, pour; notes: slow; choose one with --lab" in message


def write_eaf(tiers, media="", slots=(0, 1000, 2500, None)):
  return f"""<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0"
    VERSION="3.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">{media}
    <PROPERTY NAME="lastUsedAnnotationId">9</PROPERTY>
  </HEADER>
  <TIME_ORDER>{
    "".join(
      f'<TIME_SLOT TIME_SLOT_ID="ts{i}"'
      + (f' TIME_VALUE="{slot}"/>' if slot is not None else "/>")
      for i, slot in enumerate(slots)
    )
  }</TIME_ORDER>
  {"".join(tiers)}
  <LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>"""


def write_tier(name, *annotations, extra=""):
  listed = "".join(
    f"""<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{name}{i}"
      TIME_SLOT_REF1="ts{start}" TIME_SLOT_REF2="ts{end}">
      <ANNOTATION_VALUE>{phase}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>
      </ANNOTATION>"""
    for i, (start, end, phase) in enumerate(annotations)
  )
  return f"""<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="{name}"
    {extra}>{listed}</TIER>"""


VIDEO = """<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/my%20videos/clip1.mp4"
  MIME_TYPE="video/mp4" RELATIVE_MEDIA_URL="./clip1.mp4"/>"""
SOUND = """<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/x/sound.wav"
  MIME_TYPE="audio/x-wav"/>"""
PHASES = write_tier("phases", (0, 1, "reach"), (1, 2, "pour"))


@pytest.mark.parametrize("media", ["", VIDEO, SOUND + VIDEO])
def test_eaf(tmp_path, media):
  path = tmp_path / "clip1.eaf"
  text = write_eaf([PHASES, write_tier("empty")], media)
  assert label(path, text) == NEIGHBOR
  assert label(path, text, outside_segments="none") == NONE
  assert label(path, text.encode("utf-16")) == NEIGHBOR


def test_eaf_whose_video_begins_before_the_recording(tmp_path):
  media = VIDEO.replace("/>", ' TIME_ORIGIN="500"/>')
  found = label(
    tmp_path / "a.eaf", write_eaf([PHASES], media), outside_segments="none"
  )
  assert found == "-" * 5 + "0" * 10 + "1" * 15


def test_annotations_without_value_or_times(tmp_path):
  unlabeled = write_tier("phases", (0, 1, " "), (1, 2, "pour"))
  path = tmp_path / "a.eaf"
  assert label(path, write_eaf([unlabeled])) == "-" * 10 + "0" * 20
  # Parts of an annotation need none.
  parts = write_tier("parts", (0, 3, "a"), (3, 2, "b"))
  text = write_eaf([PHASES, parts])
  assert label(path, text, label_tier="phases") == NEIGHBOR
  assert describe_error(path, text, label_tier="parts") == (
    "annotation parts0: expected an end after the start at 0 s, received nan"
    " s; correct it"
  )


def test_annotations_that_refer_to_others(tmp_path):
  parents = write_tier("segments", (0, 1, "first"), (1, 2, "second"))
  children = "".join(
    f"""<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="r{i}"
      ANNOTATION_REF="segments{i}"><ANNOTATION_VALUE>{phase}</ANNOTATION_VALUE>
      </REF_ANNOTATION></ANNOTATION>"""
    for i, phase in enumerate(["reach", "pour"])
  )
  tier = f'<TIER TIER_ID="phases" PARENT_REF="segments">{children}</TIER>'
  text = write_eaf([tier, parents])
  assert label(tmp_path / "a.eaf", text, label_tier="phases") == NEIGHBOR


def test_annotators_of_eaf_agree_or_are_chosen(tmp_path):
  other = write_tier(
    "again", (0, 2, "reach"), (2, 3, "pour"), extra='ANNOTATOR="Ben"'
  )
  text = write_eaf([PHASES, other], slots=(0, 1000, 2000, 2800))
  # The second starts 1 s later.
  path = tmp_path / "a.eaf"
  assert label(path, text) == "0" * 15 + "1" * 15
  assert label(path, text, label_tier="Ben") == "0" * 20 + "1" * 10


def test_a_folder_of_eafs(tmp_path):
  (tmp_path / "take.eaf").write_text(write_eaf([PHASES], VIDEO))
  (tmp_path / "clip2.eaf").write_text(write_eaf([PHASES]))
  (tmp_path / "take.pfsx").write_text("<preferences/>")
  for name in ("clip1", "clip2"):
    assert label_by(tmp_path, [name]) == NEIGHBOR


def test_damaged_eafs(tmp_path):
  path = tmp_path / "a.eaf"
  assert describe_error(path, write_eaf([PHASES])[:-40]).startswith(
    "expected a label file in JSON, XML or CSV, received something else"
    " (ParseError: unclosed token"
  )
  text = write_eaf([PHASES]).replace('"1000"', '"soon"')
  assert describe_error(path, text) == (
    "expected ELAN's .eaf, received something else (ValueError: could not"
    " convert string to float: 'soon'); correct or export it again"
  )
