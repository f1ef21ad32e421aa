"""PyTorch: its own layers eagerly, with and without oneDNN, traced (TorchScript) and compiled;
forward, or forward and backward with the gradients of weights and inputs."""
import torch

from worker import Work, drawn, io_blocks

LAYERS = {"LSTM": (torch.nn.LSTM, "ifgo"), "GRU": (torch.nn.GRU, "rzn"),
          "RNN": (torch.nn.RNN, [""])}


def version():
    return "PyTorch " + torch.__version__


def settings(case, threads):
    if case["cell"] not in LAYERS:
        return []
    return ["eager", "no oneDNN"] + ([] if case["training"] else ["TorchScript"])


def layer(case):
    kind, gates = LAYERS[case["cell"]]
    I, H = case["I"], case["H"]
    made = kind(I, H)
    with torch.no_grad():
        for k, g in enumerate(gates):
            rows = slice(k * H, (k + 1) * H)
            made.weight_ih_l0[rows] = tensor("l.W" + g, [H, I])
            made.weight_hh_l0[rows] = tensor("l.U" + g, [H, H])
            made.bias_ih_l0[rows] = tensor("l.b" + g, [H])
            made.bias_hh_l0[rows] = tensor("l.cn", [H]) if g == "n" else torch.zeros(H)
    return made


def tensor(name, shape):
    return torch.from_numpy(drawn(name, shape).numpy(shape).copy())


def gradients(made, case):
    _, gates = LAYERS[case["cell"]]
    H, out = case["H"], {}
    for k, g in enumerate(gates):
        rows = slice(k * H, (k + 1) * H)
        out["d_l.W" + g] = lambda r=rows: made.weight_ih_l0.grad[r].numpy()
        out["d_l.U" + g] = lambda r=rows: made.weight_hh_l0.grad[r].numpy()
        out["d_l.b" + g] = lambda r=rows: made.bias_ih_l0.grad[r].numpy()
        if g == "n":
            out["d_l.cn"] = lambda r=rows: made.bias_hh_l0.grad[r].numpy()
    return out


def prepare(case, setting, threads):
    torch.set_num_threads(threads)
    T, B, I = (case[k] for k in "TBI")
    x = tensor("x", [T, B, I])
    made, last = layer(case), {}
    onednn = setting != "no oneDNN"

    if case["training"]:
        x.requires_grad_(True)
        d_y = tensor("d_y", [T, B, case["O"]])

        def call():
            torch.backends.mkldnn.enabled = onednn
            x.grad = None
            made.zero_grad(set_to_none=True)
            y = made(x)[0]
            y.backward(d_y)
            last["y"] = y

        tensors = {"y": lambda: last["y"].detach().numpy(), "d_x": lambda: x.grad.numpy()}
        tensors.update(gradients(made, case))
        return Work(tensors, call=call)

    made.eval()
    for p in made.parameters():
        p.requires_grad_(False)
    function = made
    if setting == "TorchScript":
        function = torch.jit.freeze(torch.jit.trace(made, x))

    def call():
        torch.backends.mkldnn.enabled = onednn
        with torch.inference_mode():
            last["y"] = function(x)[0]

    return Work({"y": lambda: last["y"].numpy()}, call=call)
