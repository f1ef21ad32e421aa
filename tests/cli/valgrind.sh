#!/bin/sh
# valgrind.sh RNNC - the compiler, the interpreter and compiled code under valgrind: no error, no leak.
# Says 'skipped' where valgrind is not installed, or where rnnc has sanitizers in it.
set -u
rnnc=$1
cd "$(dirname "$0")/../.."
command -v valgrind >/dev/null || {
    echo "skipped: valgrind is not installed"
    exit 0
}
if nm "$rnnc" 2>/dev/null | grep -q __asan_init; then
    echo "skipped: sanitizers and valgrind do not go together"
    exit 0
fi
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
bad=0

# clean STATUS ARGUMENTS: rnnc exits with this status and valgrind has nothing to say.
clean() {
    wanted=$1
    shift
    valgrind -q --leak-check=full --show-leak-kinds=definite,indirect,possible \
        --errors-for-leak-kinds=definite,indirect --error-exitcode=99 "$rnnc" "$@" \
        >"$folder/out" 2>"$folder/err"
    status=$?
    if [ "$status" != "$wanted" ]; then
        echo "rnnc $*: status $status, not $wanted"
        head -20 "$folder/err"
        bad=1
    fi
}

cases=tests/reference
for program in tests/golden/programs/*.rnn; do
    clean 0 check "$program"
    clean 0 fmt "$program"
done
for program in tests/golden/ast/err_*.rnn; do clean 1 check "$program"; done
for program in 01_lstm 02_gru 07_bilstm_stack; do
    clean 0 "tests/golden/programs/$program.rnn" -o "$folder/$program.c"
done
for backend in interp c; do
    clean 0 run $cases/torch.rnn --model=Lstm -D I=3 -D H=9 --backend=$backend \
        --weights $cases/torch/lstm_ragged/weights.safetensors \
        --in x=$cases/torch/lstm_ragged/in_x.npy --lengths t=$cases/torch/lstm_ragged/len_t.npy \
        --out y="$folder/y.npy" --out h_n="$folder/h.npy"
    clean 1 run $cases/torch.rnn --model=Lstm -D I=3 -D H=8 --backend=$backend \
        --weights $cases/torch/lstm_ragged/weights.safetensors \
        --in x=$cases/torch/lstm_ragged/len_t.npy --out y="$folder/y.npy"
done

# Training, stopped and resumed, the state carried.
train() {
    clean 0 train examples/shakespeare/charlm.rnn -D V=128 -D H=4 -D D=2 --backend=interp \
        --text w,y=tests/cli/valgrind.sh --batch=2 --window=8 --valid=0.02 --eval-every=2 \
        -o "$folder/w" --log="$folder/log" --curve="$folder/curve.svg" "$@"
}
train --steps=3
train --steps=5 --resume

# Other people's layers, ragged batches of them, in compiled code.
cat >"$folder/rnnc" <<END
#!/bin/sh
exec valgrind -q --error-exitcode=99 "$(realpath "$rnnc")" "\$@"
END
chmod +x "$folder/rnnc"
python3 tests/models/run.py --rnnc="$folder/rnnc" --backend=c --only=ragged tests/reference \
    >"$folder/out" 2>&1 || {
    grep -v '^pass' "$folder/out" | head -20
    bad=1
}
[ "$bad" = 0 ] && echo "valgrind: nothing to say"
exit "$bad"
