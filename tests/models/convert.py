#!/usr/bin/env python3
"""Writes other people's models as rnnc takes them: weights, inputs, expected outputs, cases.tsv.

    convert.py OUT [FAMILY ...]

reads the data folder named by RNNC_DATA (default ../shared/data from the project root), standard
library only. A family whose data is absent leaves one row of the kind `skip`.
"""
import os
import sys

sys.dont_write_bytecode = True

import audio_cases
import cases
import keras_cases
import number_cases
import onnx_cases
import speech_cases

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

# family name, folders of the data it needs, function that adds its cases
FAMILIES = [
    ("numbers", [], number_cases.add),
    ("onnx", ["onnx_rnn_nodes", "onnx_rnn_multistep"], onnx_cases.add),
    ("keras", ["kerasjs_layers"], keras_cases.add),
    ("rtneural", ["rtneural"], audio_cases.add_rtneural),
    ("klon", ["amp_klon"], audio_cases.add_klon),
    ("nam", ["amp_nam"], audio_cases.add_nam),
    ("charrnn", ["charrnn_ml5_shakespeare"], speech_cases.add_charrnn),
    ("mnist", ["tflm_mnist_lstm"], speech_cases.add_mnist),
    ("rnnoise", ["rnnoise_v0.1"], speech_cases.add_rnnoise),
    ("silero", ["silero_vad"], speech_cases.add_silero),
]


def main(arguments):
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    out, wanted = arguments[0], arguments[1:]
    names = [name for name, _, _ in FAMILIES]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        print("no family %s; there are %s" % (", ".join(unknown), ", ".join(names)),
              file=sys.stderr)
        return 2
    data = os.environ.get("RNNC_DATA") or os.path.join(ROOT, "..", "shared", "data")
    os.makedirs(out, exist_ok=True)
    table = cases.Table(out)
    for name, folders, add in FAMILIES:
        if wanted and name not in wanted:
            continue
        missing = [f for f in folders if not os.path.isdir(os.path.join(data, f))]
        if missing:
            table.skip(name, "no data: " + ", ".join(missing))
        else:
            add(table, data)
    table.write()
    print("%d cases in %s" % (len(table.rows), os.path.join(out, "cases.tsv")))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
