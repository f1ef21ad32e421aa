"""Cases small enough to be right by inspection; they need no data and are never skipped."""
from tensors import Tensor, from_lists

SPEC = "models/numbers.rnn"


def add(table, _data):
    ones = {name: from_lists([[1.0, 1.0], [1.0, 1.0]]) for name in "UWC"}
    for name, x, y in [("rising", [[1, 1], [1, 1], [2, 2]], [[4, 4], [12, 12], [32, 32]]),
                       ("falling", [[2, 2], [1, 1], [1, 1]], [[8, 8], [20, 20], [44, 44]])]:
        table.add("numbers/linear_" + name, SPEC, "Linear", ones, {"x": from_lists(x)},
                  {"y": from_lists(y)}, tolerance=0)
    both = [[[1, 1], [2, 2]], [[1, 1], [1, 1]], [[2, 2], [1, 1]]]
    table.add("numbers/linear_batch", SPEC, "Linear", ones, {"x": from_lists(both)},
              {"y": from_lists([[[4, 4], [8, 8]], [[12, 12], [20, 20]], [[32, 32], [44, 44]]])},
              tolerance=0)

    u = from_lists([[0.1, -0.3, 1.2, 0.6, -0.8], [-0.2, 0.4, 0.5, 0.9, -0.1],
                    [-0.1, 0.2, -0.7, -0.8, 0.3]])
    order = [3, 0, 4]                                   # the fourth first
    columns = from_lists([[u[row].data[w] for row in range(3)] for w in order])
    sizes = {"H": 3, "V": 5}
    index = Tensor((3,), order, "i")
    table.add("numbers/one_hot", SPEC, "OneHot", {"U": u}, {"w": index}, {"y": columns}, sizes,
              tolerance=0)
    table.add("numbers/lookup", SPEC, "Lookup", {"E": u.t()}, {"w": index}, {"y": columns}, sizes,
              tolerance=0)
    hot = from_lists([[1.0 if i == w else 0.0 for i in range(5)] for w in order])
    table.add("numbers/product", SPEC, "Product", {"U": u}, {"x": hot}, {"y": columns}, sizes,
              tolerance=0)
