"""How well anchors fit the objects of a data set, and proposals of anchors that fit better; in numpy, without mxnet."""
