#!/bin/sh
# build.sh - the same program with emitted C, an object, a static and a shared library, and that they
# print the same. RNNC and CC may be set; without LLVM in rnnc only C is built.
set -eu
cd "$(dirname "$0")"
rnnc=${RNNC:-../../build/rnnc}
cc=${CC:-cc}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
built=0

# with KIND FILE: the program that links with this file.
with() {
    "$rnnc" smooth.rnn --emit="$1" -o "$folder/$2" || exit 1
    $cc -std=c11 -O2 -I"$folder" main.c "$folder/$2" -o "$folder/main"
    LD_LIBRARY_PATH=$folder "$folder/main" >"$folder/printed.$1"
    cmp "$folder/printed.c" "$folder/printed.$1"
    built=$((built + 1))
}

with c smooth.c
if "$rnnc" smooth.rnn --emit=llvm >/dev/null 2>&1; then
    with obj smooth.o
    with lib libsmooth.a
    with so libsmooth.so
else
    echo "embed: no LLVM in rnnc: C alone"
fi
cat "$folder/printed.c"
echo "embed: built $built ways, the same numbers"
