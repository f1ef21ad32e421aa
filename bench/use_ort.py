"""ONNX Runtime: the operators LSTM, GRU and RNN, inputs and outputs bound once. The models are
those of other readers of ONNX, too."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from worker import Work, drawn, io_blocks

GATES = {"LSTM": "iofg", "GRU": "zrn", "RNN": [""], "peephole LSTM": "iofg"}


def version():
    import onnxruntime
    return "ONNX Runtime " + onnxruntime.__version__


def settings(case, threads):
    return ["default"] if case["cell"] in GATES and not case["training"] else []


def weights(case, prefix, I):
    gates, H = GATES[case["cell"]], case["H"]
    w = np.concatenate([drawn(f"{prefix}.W{g}", [H, I]).numpy((H, I)) for g in gates])
    r = np.concatenate([drawn(f"{prefix}.U{g}", [H, H]).numpy((H, H)) for g in gates])
    b = [drawn(f"{prefix}.b{g}", [H]).numpy((H,)) for g in gates]
    back = [np.zeros(H, np.float32) for _ in gates]
    if case["cell"] == "GRU":
        back[2] = drawn(prefix + ".cn", [H]).numpy((H,))
    return w, r, np.concatenate(b + back)


def model(case):
    T, B, I, H, O = (case[k] for k in "TBIHO")
    nodes, tensors, at = [], [], "x"

    def constant(name, value):
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    for k, prefixes in enumerate(case["stack"]):
        w, r, b = (np.stack(part) for part in zip(*(weights(case, p, I) for p in prefixes)))
        inputs = [at, constant(f"W{k}", w), constant(f"R{k}", r), constant(f"B{k}", b)]
        more = {"hidden_size": H}
        if case["cell"] == "GRU":
            more["linear_before_reset"] = 1
        if case["bi"]:
            more["direction"] = "bidirectional"
        if case["cell"] == "peephole LSTM":
            peep = np.concatenate([drawn(f"l.p{g}", [H]).numpy((H,)) for g in "iof"])[None]
            inputs += ["", "", "", constant("P", peep)]
        nodes.append(helper.make_node(case["cell"].split()[-1], inputs, [f"Y{k}"], **more))
        I = H * len(prefixes)
        if case["bi"]: # [T, 2, B, H]: features side by side
            nodes.append(helper.make_node("Transpose", [f"Y{k}"], [f"Z{k}"], perm=[0, 2, 1, 3]))
            at = f"Z{k}"
        else:
            at = f"Y{k}"
        shape = constant(f"S{k}", np.array([T, B, I], np.int64))
        nodes.append(helper.make_node("Reshape", [at, shape], [f"X{k}"]))
        at = f"X{k}"
    if case["dense"]:
        v = drawn("d.W", [O, H]).numpy((O, H)).T
        nodes.append(helper.make_node("MatMul", [at, constant("V", v)], ["Yd"]))
        nodes.append(helper.make_node("Add", ["Yd", constant("d", drawn("d.b", [O]).numpy((O,)))],
                                      ["Ye"]))
        at = "Ye"
    nodes.append(helper.make_node("Identity", [at], ["y"]))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [T, B, case["I"]])],
                              [value("y", TensorProto.FLOAT, [T, B, O])], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    made.ir_version = 8
    onnx.checker.check_model(made)
    return made.SerializeToString()


def prepare(case, setting, threads):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(model(case), options, providers=["CPUExecutionProvider"])
    x, _, y = io_blocks(case)
    T, B, I, O = (case[k] for k in "TBIO")
    binding = session.io_binding()
    x_value = ort.OrtValue.ortvalue_from_numpy(x.numpy((T, B, I)))
    y_value = ort.OrtValue.ortvalue_from_shape_and_type([T, B, O], np.float32)
    binding.bind_ortvalue_input("x", x_value)
    binding.bind_ortvalue_output("y", y_value)
    work = Work({"y": lambda: y_value.numpy()}, call=lambda: session.run_with_iobinding(binding))
    work.kept = (x, y)
    return work
