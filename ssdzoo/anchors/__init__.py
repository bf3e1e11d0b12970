"""How well anchors fit a data set's objects, and anchors that fit them better; in numpy, without mxnet."""
