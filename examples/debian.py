#!/usr/bin/env python3
"""Data from Debian's packages, downloaded and unpacked without installing anything:

    python3 examples/debian.py        into BUILD/debian (build/debian)

text from fortunes, digits of 8 by 8 pixels from python3-sklearn, sunspots and CO2 from
python3-statsmodels, laid out as the examples look for them."""
import glob
import gzip
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tasks import BUILD  # noqa: E402

PYTHON = "usr/lib/python3/dist-packages/"
WANTED = {
    "fortunes": {"usr/share/games/fortunes": "text_fortunes/input.txt"},
    "python3-sklearn": {PYTHON + "sklearn/datasets/data/digits.csv.gz": "digits8x8/digits.csv"},
    "python3-statsmodels": {
        PYTHON + "statsmodels/datasets/sunspots/sunspots.csv": "series_statsmodels/sunspots.csv",
        PYTHON + "statsmodels/datasets/co2/co2.csv": "series_statsmodels/co2.csv"},
}


def read(path):
    """One file, unpacked; of a folder all plain texts, in the order of their names."""
    if os.path.isdir(path):
        names = sorted(n for n in os.listdir(path) if "." not in n)
        return b"".join(read(os.path.join(path, n)) for n in names)
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
        return f.read()


def main():
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        print("debian.py: this is no Debian: apt-get or dpkg-deb is missing")
        return 1
    for package, files in WANTED.items():
        with tempfile.TemporaryDirectory() as work:
            done = subprocess.run(["apt-get", "-q", "download", package], cwd=work,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if done.returncode:
                print("debian.py: %s cannot be downloaded:\n%s" % (package, done.stderr.strip()))
                return 1
            subprocess.run(["dpkg-deb", "-x", glob.glob(work + "/*.deb")[0], work], check=True)
            for source, name in files.items():
                out = os.path.join(BUILD, "debian", name)
                os.makedirs(os.path.dirname(out), exist_ok=True)
                with open(out, "wb") as f:
                    f.write(read(os.path.join(work, source)))
                print("%s: %d bytes from %s" % (out, os.path.getsize(out), package))
    return 0


if __name__ == "__main__":
    sys.exit(main())
