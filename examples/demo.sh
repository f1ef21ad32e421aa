#!/bin/sh
# demo.sh: an overdrive pedal, from equations to sound; what `make demo` runs.
#
# Simulates a circuit on a recording, compiles a net that has learnt the circuit to C, plays the
# recording through it, and reports size, errors and speed; where other people's amplifiers lie
# in RNNC_DATA, the same with those. Everything is written to $BUILD/demo/.
set -eu
cd "$(dirname "$0")/.."

BUILD=${BUILD:-build}
CC=${CC:-cc}
RNNC_DATA=${RNNC_DATA:-../shared/data}
RECORDING=${RECORDING:-/usr/share/sounds/alsa/Front_Center.wav}
rnnc=$BUILD/rnnc
out=$BUILD/demo
pedal=examples/overdrive

if [ ! -f "$RECORDING" ]; then
    echo "demo: $RECORDING is missing: install alsa-utils (./bootstrap demo does)," >&2
    echo "      or say RECORDING=sound.wav (mono, 16 bit)" >&2
    exit 3
fi
mkdir -p "$out"

# The target that this machine can run, and the flags that its instructions need.
target= flags=
case $(uname -m) in
    x86_64)
        if grep -q -w fma /proc/cpuinfo && grep -q -w avx2 /proc/cpuinfo; then
            flags=-march=x86-64-v3
        else
            target=--cpu=x86-64
        fi ;;
    aarch64) ;;
    *) target=--target=generic ;;
esac
flags="-std=c99 -O2 $flags"

# row LABEL TEXT: a line of the report, in the columns of player.c.
row() {
    printf '  %-31s %s\n' "$1" "$2"
}

# object_size FILE.o: code, constants and writable bytes.
object_size() {
    size -A "$1" | awk '
        $1 ~ /^\.text/ { code += $2 }
        $1 ~ /^\.(rodata|data\.rel\.ro)/ { constant += $2; next }
        $1 ~ /^\.(data|bss|tdata|tbss)/ { writable += $2 }
        END { printf "%d bytes of code, %d of constants, %d writable", code, constant, writable }'
}

# compile NAME SPEC OPTION...: NAME.c, NAME.h and NAME.o, and what there is to say about them.
compile() {
    name=$1
    spec=$2
    shift 2
    "$rnnc" "$spec" "$@" $target --prefix="$name" -o "$out/$name.c"
    $CC $flags -c -o "$out/$name.o" "$out/$name.c"
    row 'equations' "$spec"
    row 'generated C' "$out/$name.c, $(wc -l < "$out/$name.c") lines; calls no library"
    row 'compiled' "$(object_size "$out/$name.o") ($CC $flags)"
}

# play NAME INPUT WEIGHTS OPTION...: the compiled model plays INPUT into NAME.wav and NAME.svg.
play() {
    name=$1
    input=$2
    weights=$3
    shift 3
    capitals=$(echo "$name" | tr a-z A-Z)
    $CC $flags -DMODEL="$name" -DMODEL_CAPITALS="$capitals" -DMODEL_HEADER="\"$name.h\"" \
        -I"$out" -Iruntime -o "$out/$name" $pedal/player.c $pedal/wav.c $pedal/svg.c \
        "$out/$name.o" "$BUILD/librnn_rt.a" -lm
    # The player leaves its memory to the system; with SAN=1 that would count as leaks.
    ASAN_OPTIONS=detect_leaks=0 "$out/$name" "$input" "$weights" "$out/$name.wav" "$out/$name.svg" \
        --target-sound="$out/$name.target.wav" "$@"
    row 'sound of the net, the original' "$out/$name.wav, $out/$name.target.wav"
    row 'picture' "$out/$name.svg"
}

overdrive() {
    weights=$pedal/overdrive.safetensors
    $CC -std=c99 -O2 -o "$out/circuit" $pedal/circuit.c $pedal/wav.c -lm
    "$out/circuit" "$RECORDING" "$out/in.npy" "$out/target.npy" 2> "$out/circuit.log"
    "$rnnc" run $pedal/overdrive.rnn --weights $weights --backend=interp \
        --in x="$out/in.npy" --out y="$out/reference.npy"
    echo 'An overdrive pedal, learnt from its circuit'
    row 'recording' "$RECORDING"
    row 'circuit' "$pedal/circuit.c$(sed 's/^circuit//' "$out/circuit.log")"
    compile overdrive $pedal/overdrive.rnn
    play overdrive "$RECORDING" $weights --title='Overdrive: a recurrent net learnt a circuit' \
        --against="simulated circuit=$out/target.npy" \
        --against="reference interpreter=$out/reference.npy"
}

# amplifier NAME CASE MODEL ORIGINAL TITLE OPTION...: one case of tests/models, played.
amplifier() {
    name=$1
    case=$out/models/$2
    model=$3
    original=$4
    title=$5
    shift 5
    "$rnnc" run tests/models/audio.rnn --model="$model" "$@" --weights "$case/weights.safetensors" \
        --backend=interp --in x="$case/in_x.npy" --out y="$out/reference.npy"
    echo
    echo "$title"
    compile "$name" tests/models/audio.rnn --model="$model" "$@"
    play "$name" "$case/in_x.npy" "$case/weights.safetensors" --rate=44100 --unit='full scale' \
        --title="$title" --against="$original=$case/want_y.npy" \
        --against="reference interpreter=$out/reference.npy"
}

amplifiers() {
    if [ ! -d "$RNNC_DATA/amp_klon" ] || [ ! -d "$RNNC_DATA/amp_nam" ]; then
        echo
        echo "Other people's amplifiers: skipped, $RNNC_DATA (RNNC_DATA) does not have them"
        return
    fi
    if ! command -v python3 > "$out/python3"; then
        echo
        echo "Other people's amplifiers: skipped, python3 (which reads their files) is not here"
        return
    fi
    RNNC_DATA=$RNNC_DATA python3 tests/models/convert.py "$out/models" klon nam > "$out/convert.log"
    for gain in 0 50 100; do
        amplifier klon_$gain amp_klon/centaur_$gain Klon 'ONNX Runtime' \
            "Klon Centaur, gain $gain: KlonCentaur's GRU, on its guitar"
    done
    amplifier nam amp_nam/BossLSTM-1x16 NAM 'NeuralAmpModelerCore' \
        'Neural Amp Modeler: a capture by NeuralAudio, on the same guitar' -D H=16
}

overdrive
amplifiers
