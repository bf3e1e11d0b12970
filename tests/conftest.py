"""Everything in the tests starts with mxnet's engine as the command line sets it on a CPU."""

from ssdzoo import runtime

runtime.tune_cpu()
