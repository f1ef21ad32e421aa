"""JAX: jit of lax.scan, and of its gradient; the input product outside of the scan. Settings: how
many steps a turn of the loop takes."""
import functools

import jax
import jax.numpy as jnp
import numpy as np

import own
from worker import Work, drawn, io_blocks


class F:
    sigmoid, tanh = staticmethod(jax.nn.sigmoid), staticmethod(jnp.tanh)
    split = staticmethod(functools.partial(jnp.split, axis=-1))
    cat, clip = staticmethod(jnp.concatenate), staticmethod(jnp.clip)


def version():
    return "JAX " + jax.__version__


def settings(case, threads):
    if len(case["layers"]) > 1 + case["dense"]:
        return []
    return ["scan"] if case["T"] > 1000 else ["scan", "unroll 4"]


def prepare(case, setting, threads):
    cell = own.cell(case)
    T, B, I, O = (case[k] for k in "TBIO")
    p = {}
    for name, leaf, k, n, shape in own.rows(cell.leaves):
        p.setdefault(leaf, []).append(drawn("l." + name, shape).numpy(shape))
    # p has one row a gate; everything else is stacked along the gates.
    p = {leaf: jnp.asarray(np.stack(v) if leaf == "p" else np.concatenate(v))
         for leaf, v in p.items()}
    if case["dense"]:
        p["V"] = jnp.asarray(drawn("d.W", [O, case["H"]]).numpy((O, case["H"])).copy())
        p["d"] = jnp.asarray(drawn("d.b", [O]).numpy((O,)).copy())
    x, d_y, _ = io_blocks(case)
    x = jnp.asarray(x.numpy((T, B, I)).copy())
    d_y = jnp.asarray(d_y.numpy((T, B, O)).copy())
    unroll = 4 if setting == "unroll 4" else 1

    def forward(p, x):
        zero = tuple(jnp.full((B, n), cell.initial, jnp.float32) for n in cell.states)
        _, y = jax.lax.scan(lambda s, g: cell.step(p, F, g, s), zero, cell.hoist(p, x, F),
                            unroll=unroll)
        return y @ p["V"].T + p["d"] if case["dense"] else y

    def step(p, x, d_y):
        y, back = jax.vjp(forward, p, x)
        return y, *back(d_y)

    last = {}
    if not case["training"]:
        compiled = jax.jit(forward).lower(p, x).compile()

        def call():
            last["y"] = compiled(p, x)
            last["y"].block_until_ready()

        return Work({"y": lambda: np.asarray(last["y"])}, call=call)

    compiled = jax.jit(step).lower(p, x, d_y).compile()

    def call():
        last["all"] = compiled(p, x, d_y)
        jax.block_until_ready(last["all"])

    tensors = {"y": lambda: np.asarray(last["all"][0]), "d_x": lambda: np.asarray(last["all"][2])}
    for name, leaf, k, n, shape in own.rows(cell.leaves):
        def part(leaf=leaf, k=k, n=n):
            whole = np.asarray(last["all"][1][leaf])
            return whole.reshape(n, -1)[k]
        tensors["d_l." + name] = part
    return Work(tensors, call=call)
