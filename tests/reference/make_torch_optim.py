#!/usr/bin/env python3
"""Computes optim/torch.safetensors: what PyTorch's optimisers, clipping and schedules answer.

    make_torch_optim.py [FOLDER]       (default: this folder; rewrites FOLDER/optim)

Read by tests/unit/test_rt_optimise.c and test_rt_schedule.c, whose tables hold the same settings.
The gradient of step t is grads[t] + p / 4, so that an error of one step is seen in the next ones.
"""
import json
import os
import struct
import sys
import warnings

import torch
from torch import optim
from torch.optim import lr_scheduler as schedulers

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS, COUNT = 40, 6

OPTIMISERS = {
    "sgd": (optim.SGD, dict(lr=0.01)),
    "sgd_decay": (optim.SGD, dict(lr=0.01, weight_decay=0.1)),
    "sgd_momentum": (optim.SGD, dict(lr=0.01, momentum=0.9)),
    "sgd_nesterov": (optim.SGD, dict(lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.01)),
    "rmsprop": (optim.RMSprop, dict()),
    "rmsprop_decay": (optim.RMSprop, dict(lr=0.003, alpha=0.9, eps=1e-3, weight_decay=0.1)),
    "rmsprop_momentum": (optim.RMSprop, dict(lr=0.003, momentum=0.5)),
    "rmsprop_centred": (optim.RMSprop, dict(lr=0.003, centered=True, eps=1e-4)),
    "rmsprop_all": (optim.RMSprop, dict(lr=0.003, alpha=0.95, centered=True, momentum=0.8,
                                        weight_decay=0.01, eps=1e-4)),
    "adam": (optim.Adam, dict()),
    "adam_decay": (optim.Adam, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)),
    "adamw": (optim.AdamW, dict()),
    "adamw_decay": (optim.AdamW, dict(lr=0.02, betas=(0.7, 0.9), weight_decay=0.3)),
}

SCHEDULES = {
    "step": lambda o: schedulers.StepLR(o, 7),
    "step_half": lambda o: schedulers.StepLR(o, 10, gamma=0.5),
    "exponential": lambda o: schedulers.ExponentialLR(o, 0.93),
    "cosine": lambda o: schedulers.CosineAnnealingLR(o, STEPS - 1, eta_min=0.01),
    "warmup": lambda o: schedulers.SequentialLR(
        o, [schedulers.LinearLR(o, total_iters=5), schedulers.ConstantLR(o, 1, 0)], [5]),
    "warmup_cosine": lambda o: schedulers.SequentialLR(
        o, [schedulers.LinearLR(o, start_factor=0.125, total_iters=8),
            schedulers.CosineAnnealingLR(o, STEPS - 9)], [8]),
    "one_cycle": lambda o: schedulers.OneCycleLR(o, 0.5, total_steps=STEPS),
    "one_cycle_late": lambda o: schedulers.OneCycleLR(o, 0.5, total_steps=STEPS, pct_start=0.8,
                                                      div_factor=10, final_div_factor=100),
}

PLATEAUS = {
    "plateau": dict(),
    "plateau_patient": dict(patience=3, factor=0.5, cooldown=2),
    "plateau_max": dict(mode="max", patience=2, factor=0.3, min_lr=0.02),
    "plateau_absolute": dict(threshold_mode="abs", threshold=0.05, patience=1, factor=0.7),
    "plateau_max_absolute": dict(mode="max", threshold_mode="abs", threshold=0.02, patience=4),
}


def trajectory(kind, settings, start, grads, dtype):
    p = start.to(dtype).clone().requires_grad_()
    optimiser = kind([p], foreach=False, **settings)
    rows = []
    for grad in grads.to(dtype):
        with torch.no_grad():
            p.grad = grad + p / 4
        optimiser.step()
        rows.append(p.detach().clone())
    return torch.stack(rows)


def rates(make, steps):
    optimiser = optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = make(optimiser)
    found = []
    for step in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if step + 1 < steps:
            schedule.step()
    return torch.tensor(found, dtype=torch.float64)


def plateau_rates(settings, figures):
    optimiser = optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = schedulers.ReduceLROnPlateau(optimiser, **settings)
    found = []
    for figure in figures.tolist():
        schedule.step(figure)
        found.append(optimiser.param_groups[0]["lr"])
    return torch.tensor(found, dtype=torch.float64)


def write(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in tensors.items():
        code, letter = ("F64", "d") if tensor.dtype == torch.float64 else ("F32", "f")
        values = tensor.reshape(-1).tolist()
        piece = struct.pack("<%d%s" % (len(values), letter), *values)
        header[name] = {"dtype": code, "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    folder = os.path.join(sys.argv[1] if len(sys.argv) > 1 else HERE, "optim")
    os.makedirs(folder, exist_ok=True)
    warnings.simplefilter("ignore")
    torch.manual_seed(40)
    start = torch.randn(COUNT)
    # From large to tiny; one that is always 0.
    scale = torch.tensor([10, 1, 0.1, 1e-3, 1e-7, 0])
    grads = torch.randn(STEPS, COUNT) * scale
    tensors = {"start": start, "grads": grads}
    for name, (kind, settings) in OPTIMISERS.items():
        for mark, dtype in (("f32", torch.float32), ("f64", torch.float64)):
            tensors["%s.%s" % (name, mark)] = trajectory(kind, settings, start, grads, dtype)
    for name, make in SCHEDULES.items():
        tensors[name] = rates(make, STEPS)
    figures = torch.tensor([1 / (1 + 0.3 * min(t, 12)) + 0.01 * ((7 * t) % 5) - 0.002 * (t == 25)
                            for t in range(STEPS)], dtype=torch.float64)
    tensors["figures"] = figures
    for name, settings in PLATEAUS.items():
        tensors[name] = plateau_rates(settings, -figures if "max" in name else figures)
    for mark, dtype in (("f32", torch.float32), ("f64", torch.float64)):
        p = torch.zeros(COUNT, dtype=dtype, requires_grad=True)
        p.grad = grads[3].to(dtype).clone()
        norm = torch.nn.utils.clip_grad_norm_([p], 0.75)
        tensors["clip_norm." + mark] = norm.detach().reshape(1).clone()
        tensors["clipped." + mark] = p.grad
        p.grad = grads[3].to(dtype).clone()
        torch.nn.utils.clip_grad_value_([p], 0.03)
        tensors["clipped_value." + mark] = p.grad
    write(os.path.join(folder, "torch.safetensors"), tensors, {"torch": torch.__version__})
    print("%d tensors by torch %s" % (len(tensors), torch.__version__))


if __name__ == "__main__":
    main()
