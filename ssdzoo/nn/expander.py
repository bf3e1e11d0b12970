"""A backbone of MXNet's own model zoo, cut at named layers, with strided convolutions appended."""

from typing import Any

from ssdzoo.errors import CallError
from ssdzoo.nn.parameters import HE_FAN_IN, HE_FAN_OUT
from ssdzoo.runtime import mx

_INIT_BY_SUFFIX = {"gamma": "ones", "beta": "zeros", "bias": "zeros", "mean": "zeros", "var": "ones"}


def _tap(backbone: mx.sym.Symbol, name: str, prefix: str) -> mx.sym.Symbol:
    internals = backbone.get_internals()
    output = f"{prefix}{name}_output"
    if output not in internals.list_outputs():
        known = [o[len(prefix) : -len("_output")] for o in internals.list_outputs() if o.startswith(prefix)]
        activations = [k for k in known if "relu" in k or "activation" in k]
        raise CallError(f"the backbone has no layer {name!r}; its activations are {', '.join(activations)}")
    return internals[output]


class FeatureExpander(mx.gluon.SymbolBlock):
    """Feature maps of a backbone at `outputs`, then one half as large for each of `num_filters`.

    Args:
        network: a backbone (a HybridBlock whose input is one image batch).
        outputs: names of the backbone's layers without its prefix, finest first, such as "stage3_activation1".
        num_filters: channels of the appended 3x3 stride-2 convolutions.
        use_1x1_transition: puts a 1x1 convolution of max(min_depth, round(filters * reduce_ratio)) channels before each.
        use_bn: BatchNorm after each appended convolution.
        reduce_ratio, min_depth: see use_1x1_transition.
        global_pool: appends a global average pool as the last feature map.
        separable: makes the appended convolutions depthwise 3x3 and then 1x1, with a BatchNorm and ReLU6 after each (SSDLite).

    It is a SymbolBlock because the parameter files of GluonCV hold the backbone's flat symbol names
    (`features.resnetv10_conv0_weight`).
    """

    def __init__(self, network: Any, outputs: Any, num_filters: Any, use_1x1_transition: bool = True, use_bn: bool = True,
                 reduce_ratio: float = 1, min_depth: int = 128, global_pool: bool = False, separable: bool = False):  # fmt: skip
        if separable and not (use_1x1_transition and use_bn):
            raise CallError("separable=True: use_1x1_transition and use_bn belong to it; leave them True")
        data = mx.sym.var("data", dtype="float32")
        symbol = network(data)
        maps = [_tap(symbol, name, network.prefix) for name in outputs]
        x = maps[-1]
        for i, filters in enumerate(num_filters):
            if use_1x1_transition:
                depth = max(min_depth, round(filters * reduce_ratio))
                x = self._conv(x, depth, 1, use_bn, "expand_trans_{}" + str(i), relu6=separable)
            if separable:
                x = self._conv(x, depth, 3, True, "expand_depthwise_{}" + str(i), relu6=True, groups=depth)
            x = self._conv(x, filters, 1 if separable else 3, use_bn, "expand_{}" + str(i), relu6=separable)
            maps.append(x)
        if global_pool:
            maps.append(mx.sym.Pooling(x, pool_type="avg", global_pool=True, kernel=(1, 1)))
        super().__init__(maps, data, network.collect_params())
        # The classifier's own attribute paths, in which its parameter files are written.
        self.backbone_parameters = network._collect_params_with_prefix()
        # A symbol's parameters come without initializers, and Xavier refuses the vectors of a BatchNorm.
        for name, parameter in self.params.items():
            if parameter.init is None and "expand_" in name:
                # The fan-out of a depthwise convolution is not what its shape says.
                weights = HE_FAN_IN if "depthwise" in name else HE_FAN_OUT
                parameter.init = _INIT_BY_SUFFIX.get(name.rsplit("_", 1)[-1], weights)

    @staticmethod
    def _conv(x: Any, filters: int, kernel: int, use_bn: bool, name: str, relu6: bool = False, groups: int = 1) -> Any:
        stride, pad = (2, 1) if kernel == 3 else (1, 0)
        x = mx.sym.Convolution(
            x, num_filter=filters, kernel=(kernel, kernel), stride=(stride, stride), pad=(pad, pad),
            num_group=groups, no_bias=use_bn, name=name.format("conv"),
        )  # fmt: skip
        if use_bn:
            x = mx.sym.BatchNorm(x, fix_gamma=not relu6, name=name.format("bn"))
        if relu6:
            return mx.sym.clip(x, 0, 6, name=name.format("relu6"))
        return mx.sym.Activation(x, act_type="relu", name=name.format("relu"))
