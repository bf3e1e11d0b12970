"""The training loop that GluonCV's users run, for comparisons: its data set, transform, loader, targets, loss and trainer, put
together as in its tutorials (train_ssd_voc, finetune_detection). Prints {"images_per_s": ...} of all epochs but the first.

    python tools/gluoncv_train.py MODEL DATA SPLIT CLASSES BATCH WORKERS EPOCHS

CLASSES are joined by commas, in lower case, as GluonCV wants them.
"""

import json
import sys
import time

import ssdzoo  # noqa: F401, lets mxnet and gluoncv be imported

import mxnet as mx  # isort: skip
from gluoncv.data import VOCDetection
from gluoncv.data.batchify import Stack, Tuple
from gluoncv.data.transforms.presets.ssd import SSDDefaultTrainTransform
from gluoncv.loss import SSDMultiBoxLoss
from gluoncv.model_zoo import get_model


def main(model, data, split, classes, batch, workers, epochs) -> None:
    class Dataset(VOCDetection):
        CLASSES = tuple(classes.split(","))

    batch, context = int(batch), mx.cpu()
    net = get_model(model, classes=Dataset.CLASSES, pretrained_base=False)
    for parameter in net.collect_params().values():
        if parameter._data is None:
            parameter.initialize(ctx=context)
    side = int(model.split("_")[1])
    with mx.autograd.train_mode():
        anchors = net(mx.nd.zeros((1, 3, side, side)))[2]
    dataset = Dataset(data, splits=[("", split)])
    loader = mx.gluon.data.DataLoader(
        dataset.transform(SSDDefaultTrainTransform(side, side, anchors)), batch, True,
        batchify_fn=Tuple(Stack(), Stack(), Stack()), last_batch="rollover", num_workers=int(workers),
    )  # fmt: skip
    net.hybridize(static_alloc=True, static_shape=True)
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 1e-4, "wd": 5e-4, "momentum": 0.9})
    loss = SSDMultiBoxLoss()
    means = mx.metric.Loss("class"), mx.metric.Loss("box")
    images, seconds = 0, 0.0
    for epoch in range(int(epochs)):
        started = time.perf_counter()
        for pixels, class_targets, box_targets in loader:
            with mx.autograd.record():
                logits, offsets, _ = net(pixels.as_in_context(context))
                total, class_loss, box_loss = loss(
                    [logits], [offsets], [class_targets.as_in_context(context)], [box_targets.as_in_context(context)]
                )
            mx.autograd.backward(total)
            trainer.step(1)
            for mean, value in zip(means, (class_loss, box_loss)):
                mean.update(0, [v * batch for v in value])
                mean.get()  # as its script does for its log
            images += len(pixels) if epoch else 0
        mx.nd.waitall()
        seconds += time.perf_counter() - started if epoch else 0
    print(json.dumps({"images_per_s": images / seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
