"""The attributes of MXNet's operators, read once for all translators."""

from dataclasses import dataclass
from math import ceil

from ssdzoo.export.translator import Call

BINARY = ("add", "plus", "sub", "minus", "mul", "div", "power", "maximum", "minimum")
_REVERSED = ("minus", "div", "power")  # those of a scalar that have a twin with the scalar first
COMPARISONS = ("greater", "greater_equal", "lesser", "lesser_equal", "equal", "not_equal")
IDENTITIES = ("identity", "_copy", "make_loss", "MakeLoss")
DTYPES = {"float32": "float", "float16": "float", "float64": "float", "uint8": "float", "int32": "int32", "int64": "int64"}

BINARY_OPS = tuple(op for name in BINARY for op in (f"broadcast_{name}", f"elemwise_{name}", f"_{name}", f"_{name.capitalize()}"))
SCALAR_OPS = (*(f"_{name}_scalar" for name in BINARY), *(f"_r{name}_scalar" for name in _REVERSED))
COMPARISON_OPS = tuple(op for name in COMPARISONS for op in (f"_{name}", f"broadcast_{name}", f"_{name}_scalar"))


def binary_name(op: str) -> str:
    """The name out of BINARY of an operator out of BINARY_OPS."""
    return op.lower().split("_", 1)[1]


def scalar_name(op: str) -> tuple[str, bool]:
    """The name out of BINARY of an operator out of SCALAR_OPS, and whether the scalar comes first."""
    name = op.removesuffix("_scalar").removeprefix("_")
    return (name, False) if name in BINARY else (name[1:], True)


def comparison_name(op: str) -> str:
    """The name out of COMPARISONS of an operator out of COMPARISON_OPS."""
    return op.removesuffix("_scalar").removeprefix("broadcast").removeprefix("_")


@dataclass(frozen=True)
class Window:
    """The window of a convolution or a pooling, each field with a number for each axis of the image.

    Attributes:
        pads: the same on both sides.
    """

    kernel: list[int]
    strides: list[int]
    pads: list[int]
    dilations: list[int]


def window(call: Call) -> Window:
    """The window of a node whose images have their channels second."""
    node = call.node
    kernel = [int(n) for n in node.numbers("kernel")]
    layout = node.get("layout", "NCHW"[: len(kernel) + 2])
    call.need(layout in ("NCHW", "NCW", "NCDHW"), f"layout {layout}; channels must come second")

    def of_axes(key: str, default: int) -> list[int]:
        return [int(n) for n in node.numbers(key)] or [default] * len(kernel)

    return Window(kernel, of_axes("stride", 1), of_axes("pad", 0), of_axes("dilate", 1))


def output_padding(call: Call) -> list[int]:
    """The rows and columns that a Deconvolution adds at the end of each axis."""
    call.need(not call.node.numbers("target_shape"), "target_shape is not translated; export with pad and adj instead")
    return [int(n) for n in call.node.numbers("adj")] or [0] * len(call.node.numbers("kernel"))


@dataclass(frozen=True)
class Pool:
    """A pooling.

    Attributes:
        kind: "max" or "avg".
        window: None for one over the whole image.
        full: a last window that the image fills in part counts.
        count_padding: an average is over the padding too.
    """

    kind: str
    window: Window | None
    full: bool
    count_padding: bool


def pool(call: Call, sizes: list) -> Pool:
    """The pooling of a node.

    Args:
        sizes: of the axes of the image; what is no number is not known.

    Raises:
        ExportError: one whose last window begins beyond the image: MXNet keeps such a window, and others drop it.
    """
    node = call.node
    kind = node.get("pool_type", "max")
    call.need(kind in ("max", "avg"), f"pool_type {kind!r}; max and avg are translated")
    if node.flag("global_pool"):
        return Pool(kind, None, False, True)
    taken = window(call)
    convention = node.get("pooling_convention", "valid")
    call.need(convention in ("valid", "full"), f"pooling_convention {convention!r}; valid and full are translated")
    for k, s, p, size in zip(taken.kernel, taken.strides, taken.pads, sizes):
        beyond = convention == "full" and p + s > k
        if beyond and isinstance(size, int):
            beyond = ceil((size + 2 * p - k) / s) * s >= size + p
        call.need(not beyond, f"kernel {k}, stride {s} and pad {p} with the full convention pool pixels beyond the image")
    return Pool(kind, taken, convention == "full", node.flag("count_include_pad", True))


def batch_norm_eps(call: Call) -> float:
    """The eps of a batch norm whose channels come second."""
    call.need(call.node.get("axis", 1) == 1, f"axis {call.node.get('axis')}; channels must come second")
    return float(call.node.get("eps", 1e-3))


def l2_axes(call: Call, rank: int) -> list[int]:
    """The axes over which an L2Normalization sums squares."""
    mode = call.node.get("mode", "instance")
    axes = {"channel": [1], "instance": list(range(1, rank)), "spatial": list(range(2, rank))}
    call.need(mode in axes, f"mode {mode!r}; there are {', '.join(axes)}")
    return axes[mode]


def pad_widths(call: Call, rank: int) -> tuple[str, list[int]]:
    """The mode of a padding, and its (begin, end) of each axis one after the other."""
    mode, widths = call.node.get("mode", "constant"), [int(n) for n in call.node.numbers("pad_width")]
    call.need(mode in ("constant", "edge", "reflect"), f"mode {mode!r}; there are constant, edge and reflect")
    call.need(len(widths) == 2 * rank, f"pad_width {widths}; two numbers for each of {rank} axes were expected")
    return mode, widths


def softmax_output_axis(call: Call, rank: int) -> int | None:
    """The axis of the softmax of a training symbol; None for all axes after the first together."""
    if call.node.flag("multi_output") or rank == 2:
        return 1
    return rank - 1 if call.node.flag("preserve_shape") else None


def upsampling_scale(call: Call) -> int:
    """How many times as many rows and columns a nearest-neighbor UpSampling has."""
    call.need(call.node.get("sample_type") == "nearest" and len(call.inputs) == 1, "only sample_type nearest of one input")
    return int(call.node.get("scale"))


def reduced_axes(call: Call, rank: int) -> list[int]:
    """The axes of a sum, mean, maximum or minimum."""
    axes = [int(a) % rank for a in call.node.numbers("axis")] or list(range(rank))
    return [a for a in range(rank) if a not in axes] if call.node.flag("exclude") else axes


def part_begins(call: Call, size: int | None, axis: int) -> list[int]:
    """Where the parts begin into which SliceChannel or _split_v2 splits an axis."""
    node = call.node
    if node.op == "_split_v2":
        call.need(isinstance(size, int), f"axis {axis} of an unknown size is not split")
        count = node.get("sections", 0)
        if not count:
            return [int(i) for i in node.numbers("indices")]
    else:
        count = node.get("num_outputs")
    call.need(isinstance(size, int) and size % count == 0, f"axis {axis} of size {size} does not split into {count} parts")
    assert size is not None
    return [size // count * i for i in range(count)]


def slices(call: Call) -> list[tuple]:
    """(begin, end, step) of each axis that a `slice` cuts; None for an end of the axis."""
    begin, end = call.node.get("begin"), call.node.get("end")
    steps = [s or 1 for s in call.node.get("step", ())] or [1] * len(begin)
    call.need(all(s > 0 for s in steps), f"step {steps}; steps must be positive")
    return list(zip(begin, end, steps, strict=True))


def arange_bounds(call: Call) -> tuple[float, float, float]:
    """Start, stop and step of an `_arange`."""
    start, stop = call.node.get("start", 0.0), call.node.get("stop")
    if stop is None:
        start, stop = 0.0, start
    call.need(call.node.get("repeat", 1) == 1, "repeat is not translated")
    return float(start), float(stop), float(call.node.get("step", 1.0))


def prior_halves(call: Call) -> list[list[float]]:
    """Half of the width and height of the anchors of a MultiBoxPrior, in parts of the image's height: one for each size with the
    first ratio, then one for each other ratio with the first size."""
    sizes, ratios = call.node.numbers("sizes", (1.0,)), call.node.numbers("ratios", (1.0,))
    roots = [(s, ratios[0] ** 0.5) for s in sizes] + [(sizes[0], r**0.5) for r in ratios[1:]]
    return [[size * root / 2, size / root / 2] for size, root in roots]
