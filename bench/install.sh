#!/bin/sh
# make bench-peers: what rnnc is compared with, into BUILD/peers: Debian's packages where we may
# install them, and a virtual environment with those of PyPI. What cannot be had is said; the bench
# leaves it out. Some gigabytes, most of them libraries of graphics cards that PyTorch brings along.
peers=${1:?usage: install.sh BUILD}/peers
mkdir -p "$peers"

packages="libdnnl-dev libopenblas-pthread-dev"
for package in $packages; do
    dpkg -s "$package" > "$peers/apt.log" 2>&1 && continue
    if [ "$(id -u)" = 0 ]; then
        apt-get install -y --no-install-recommends "$package" > "$peers/apt.log" 2>&1 ||
            echo "bench-peers: $package cannot be installed: $peers/apt.log"
    else
        echo "bench-peers: apt-get install $package"
    fi
done

[ -x "$peers/venv/bin/pip" ] || python3 -m venv "$peers/venv" ||
    { echo "bench-peers: no virtual environment (python3-venv)"; exit 1; }
pip() {
    "$peers/venv/bin/pip" install --quiet --no-cache-dir "$@" > "$peers/pip.log" 2>&1 ||
        echo "bench-peers: no $*: $peers/pip.log"
}
pip numpy onnx onnxruntime
pip 'jax[cpu]'
pip torch
pip emx-onnx-cgen
pip onednn onednn-devel
# The last oneDNN that was packed with OpenMP, in a folder of its own.
pip --no-deps --prefix "$peers/gomp" onednn-cpu-gomp onednn-devel-cpu-gomp
"$peers/venv/bin/pip" list 2> "$peers/pip.log" | grep -iE '^(torch|jax|jaxlib|onnx|onnxruntime|onednn|emx|numpy)'
