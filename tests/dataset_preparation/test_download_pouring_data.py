import os
import shutil
import socket
import subprocess

from tests.helpers.paths import ROOT

DOWNLOAD = ROOT / "dataset_preparation" / "download_pouring_data.sh"


def run_download(folder, **variables):
  command = [shutil.which("bash"), str(DOWNLOAD), str(folder)]
  env = {"PATH": os.environ["PATH"], **variables}
  return subprocess.run(command, env=env, capture_output=True, text=True)


def test_download_without_network(tmp_path):
  with socket.socket() as server:  # Bound but not listening: refuses.
    server.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{server.getsockname()[1]}"
    done = run_download(tmp_path / "out", POURING_URL=url)
  assert done.returncode == 1
  last = done.stderr.splitlines()[-1]
  assert last.startswith("error: ")
  if shutil.which("curl") or shutil.which("wget"):
    assert f"{url}/pouring_train-0-of-2.tfrecord: the download stopped" in last
  assert not list(tmp_path.glob("out/pouring*"))


def test_download_without_curl_and_wget(tmp_path):
  done = run_download(tmp_path / "out", PATH=str(tmp_path))
  assert done.returncode == 1
  assert done.stderr.startswith("error: neither curl nor wget is installed")


def test_download_with_a_stand_in_for_curl(tmp_path):
  tools = tmp_path / "tools"
  tools.mkdir()
  for tool in ("mkdir", "head", "tail", "tr", "wc", "mv", "rm", "cat"):
    (tools / tool).symlink_to(shutil.which(tool))
  curl = tools / "curl"
  # Like curl, goes on where the file ends; its arguments end in: FILE URL.
  curl.write_text(
    f"#!{shutil.which('bash')}\n"
    'out="${@: -2:1}" url="${@: -1}"\n'
    'case "$url" in *val*) [ -e "$out" ] || { printf a > "$out"; exit 18; };;'
    " esac\n"
    'printf "\\5\\0\\0\\0\\0\\0\\0\\0" > "$out"\n'
  )
  curl.chmod(0o755)
  out = tmp_path / "out"
  names = [f"pouring_train-{i}-of-2.tfrecord" for i in range(2)]
  done = run_download(out, PATH=str(tools))
  assert done.returncode == 1
  incomplete = ".incomplete-pouring_val-0-of-1.tfrecord"
  assert sorted(os.listdir(out)) == [incomplete, *names]
  done = run_download(out, PATH=str(tools))
  assert done.returncode == 0, done.stderr
  assert f"{names[0]} is there already" in done.stdout
  assert sorted(os.listdir(out)) == [*names, "pouring_val-0-of-1.tfrecord"]

  page = 'printf "<html>sign in</html>" > "${@: -2:1}"'
  curl.write_text(f"#!{shutil.which('bash')}\n{page}\n")
  done = run_download(tmp_path / "page", PATH=str(tools))
  assert done.returncode == 1
  assert "received something else than records" in done.stderr
  assert not os.listdir(tmp_path / "page")
