#!/bin/sh
# lint.sh BUILD - rules of the house that a compiler does not check: who includes whom, no writable
# globals in our objects, no paths of a machine in files, sizes of files. Exit status 1 with one line
# for each breach.
set -u
cd "$(dirname "$0")/../.."
build=${1:-build}
bad=0

breach() {
    echo "lint: $*"
    bad=1
}

sources() {
    find compiler backends runtime grammar tests/unit tests/numeric tools tests/check.c \
        \( -name '*.c' -o -name '*.h' -o -name '*.def' -o -name '*.l' -o -name '*.y' \) | sort
}

# ---- Who may include whom (design, section 2) ---------------------------------------------------

# A file's room: compiler/graph -> graph; files of compiler/ itself -> main.
room() {
    case $1 in
        compiler/*/*) r=${1#compiler/}; echo "${r%%/*}" ;;
        compiler/*) echo main ;;
        */*) echo "${1%%/*}" ;;
    esac
}

# May room $1 include room $2? $3 is the including file.
allowed() {
    [ "$1" = "$2" ] && return 0
    case $1 in
        main) return 0 ;;
        support) return 1 ;;
    esac
    [ "$1" = runtime ] && return 1
    [ "$2" = support ] && return 0
    case $1:$2 in
        grammar:ast) return 0 ;;
        # An import is a file to parse.
        sema:ast | sema:graph | sema:grammar) return 0 ;;
        # Draws and first values are the contract of rnn_rt.h.
        graph:runtime)
            case $3 in compiler/graph/interpret*) return 0 ;; esac ;;
        passes:graph | adjoint:graph | adjoint:passes) return 0 ;;
        schedule:graph) return 0 ;;
        loop:graph)
            # interface.h describes ports, which the graph has.
            case $3 in compiler/loop/lower*|compiler/loop/interface.h) return 0 ;; esac ;;
        # So are those of compiled code.
        loop:runtime)
            case $3 in compiler/loop/lower_draw.c | compiler/loop/lower_init.c) return 0 ;; esac ;;
        loop:schedule)
            case $3 in compiler/loop/lower*) return 0 ;; esac ;;
        backends:loop | backends:graph) return 0 ;;
    esac
    return 1
}

# The room that an #include "x/y.h" of file $1 leads to.
target_room() {
    case $2 in
        ../*) ;;
        support/* | ast/* | sema/* | graph/* | passes/* | adjoint/* | schedule/* | loop/*) echo "${2%%/*}"; return ;;
        backends/* | grammar/*) echo "${2%%/*}"; return ;;
    esac
    if [ -f "$(dirname "$1")/$2" ]; then room "$1"
    elif [ -f "compiler/$2" ]; then echo main
    elif [ -f "grammar/$2" ]; then echo grammar
    elif [ -f "runtime/$2" ]; then echo runtime
    elif [ "$2" = rnn.tab.h ]; then echo grammar
    else echo "?"
    fi
}

includes=$(sources | grep -v '^tests/' | grep -v '^tools/' |
    xargs grep -H -o '^[ ]*#[ ]*include "[^"]*"' | sed 's/:[^"]*"/ /; s/"$//')
while read -r file included; do
    from=$(room "$file")
    to=$(target_room "$file" "$included")
    if [ "$to" = "?" ]; then breach "$file includes $included, which is in no room"
    elif ! allowed "$from" "$to" "$file"; then breach "$file ($from) includes $included ($to)"
    fi
done <<LIST
$includes
LIST

# LLVM's headers belong to backends/llvm alone.
for file in $(sources | grep -v '^backends/llvm/' | xargs grep -l '#[ ]*include <llvm' /dev/null); do
    breach "$file includes LLVM"
done

# CBLAS to one file of the runtime.
for file in $(sources | grep -v '^runtime/rt_blas.c$' | xargs grep -l '#[ ]*include <cblas' /dev/null); do
    breach "$file includes CBLAS"
done

# ---- No writable globals ------------------------------------------------------------------------

# Bison's tables hold two statics that are never written. Sanitizers add symbols of their own.
if [ -d "$build/obj" ]; then
    count=0
    for object in $(find "$build/obj" -name '*.o' ! -name 'rnn.tab.o' ! -path "$build/obj/tests/*" | sort); do
        count=$((count + 1))
        found=$(nm "$object" | awk '$2 ~ /^[DdBbCGgSs]$/ { print $3 }' |
            grep -v -e '^__asan' -e '^__odr_asan' -e '^\.L' -e '^_\?_ubsan' -e '^\.' -e '^DW.ref')
        # Tables of pointers are const, but filled in by the loader: .data.rel.ro.
        for symbol in $found; do
            section=$(objdump -t "$object" | awk -v s="$symbol" '$NF == s { print $(NF-2) }')
            case $section in
                .data.rel.ro*) ;;
                *) breach "$object: the global $symbol can be written" ;;
            esac
        done
    done
    [ "$count" -gt 0 ] || breach "$build/obj holds no object"
else
    breach "$build/obj does not exist: build first"
fi

# ---- No named cells in the compiler ---------------------------------------------------------------

for file in $(find compiler backends runtime -name '*.[ch]' -o -name '*.def' | sort); do
    words=$(grep -n -i -w -o -e 'lstm' -e 'gru' -e 'elman' -e 'peephole' "$file" |
        sort -u | head -3 | tr '\n' ' ')
    code=$(sed -e 's:/\*.*\*/::' -e 's://.*::' "$file" | awk '
        /\/\*/ { comment = 1 } !comment { print } /\*\// { comment = 0 }' |
        grep -i -w -c -e 'lstm' -e 'gru' -e 'elman' -e 'peephole')
    [ "$code" = 0 ] || breach "$file names a cell in code: $words"
done

# ---- No machine in the files ----------------------------------------------------------------------

files=$(git ls-files 2>/dev/null | grep -v -e '\.npy$' -e '\.safetensors$' -e '^tests/lint/lint.sh$')
[ -n "$files" ] || files=$(find . -type f -not -path './.git/*' -not -path './build/*' \
    -not -name '*.npy' -not -name '*.safetensors' -not -path './tests/lint/lint.sh')
hits=$(echo "$files" | tr '\n' '\0' | xargs -0 grep -n -I -E \
    -e '(^|[^[:alnum:]_.])/(home|root|Users|work)/[a-z]' -e '/tmp/[a-z]+/[a-z]' 2>/dev/null |
    head -20)
[ -z "$hits" ] || breach "paths of a machine:
$hits"

# ---- Size of files ------------------------------------------------------------------------------

for file in $(sources); do
    lines=$(wc -l < "$file")
    [ "$lines" -le 600 ] || breach "$file has $lines lines; above 600 a file is split"
done

[ "$bad" = 0 ] && echo "lint: nothing to say"
exit "$bad"
