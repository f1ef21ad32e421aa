"""ONNX Runtime: the operators LSTM, GRU and RNN, inputs and outputs bound once."""
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from worker import Work, drawn, io_blocks

GATES = {"LSTM": "iofg", "GRU": "zrn", "RNN": [""]}


def version():
    return "ONNX Runtime " + ort.__version__


def settings(case, threads):
    return ["default"] if case["cell"] in GATES and not case["training"] else []


def weights(cell, I, H, prefix="l"):
    gates = GATES[cell]
    w = np.concatenate([drawn(f"{prefix}.W{g}", [H, I]).numpy((H, I)) for g in gates])
    r = np.concatenate([drawn(f"{prefix}.U{g}", [H, H]).numpy((H, H)) for g in gates])
    b = [drawn(f"{prefix}.b{g}", [H]).numpy((H,)) for g in gates]
    back = [np.zeros(H, np.float32) for _ in gates]
    if cell == "GRU":
        back[2] = drawn(prefix + ".cn", [H]).numpy((H,))
    return w[None], r[None], np.concatenate(b + back)[None]


def model(case):
    T, B, I, H, cell = (case[k] for k in ("T", "B", "I", "H", "cell"))
    w, r, b = weights(cell, I, H)
    attributes = {"hidden_size": H}
    if cell == "GRU":
        attributes["linear_before_reset"] = 1
    node = helper.make_node(cell, ["x", "W", "R", "B"], ["y"], **attributes)
    tensors = [numpy_helper.from_array(np.ascontiguousarray(a), n)
               for n, a in (("W", w), ("R", r), ("B", b))]
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [T, B, I])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [T, 1, B, H])], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    made.ir_version = 8
    onnx.checker.check_model(made)
    return made.SerializeToString()


def prepare(case, setting, threads):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(model(case), options, providers=["CPUExecutionProvider"])
    x, _, y = io_blocks(case)
    T, B, I, H = (case[k] for k in "TBIH")
    binding = session.io_binding()
    x_value = ort.OrtValue.ortvalue_from_numpy(x.numpy((T, B, I)))
    y_value = ort.OrtValue.ortvalue_from_shape_and_type([T, 1, B, H], np.float32)
    binding.bind_ortvalue_input("x", x_value)
    binding.bind_ortvalue_output("y", y_value)
    work = Work({"y": lambda: y_value.numpy()}, call=lambda: session.run_with_iobinding(binding))
    work.kept = (x, y)
    return work
