"""`ssdzoo serve`: a detector as an HTTP server with a page."""

from typing import Annotated, Optional

from ssdzoo.cli.options import (
    BACKEND,
    MODEL,
    Classes,
    Gpus,
    Mean,
    Precision,
    Std,
    Suppress,
    Weights,
    argument,
    option,
    prepare_backend,
)
from ssdzoo.machine import import_package

_MAX_BATCH = "Images per call of the network, of those that wait, where that is measured to be faster. 1 for one after another."


def serve(
    model: Annotated[str, argument(MODEL, envvar="SSDZOO_MODEL")],
    host: Annotated[str, option("Address to listen on; 0.0.0.0 is reached from other machines.")] = "127.0.0.1",
    # Kubernetes sets SSDZOO_PORT to something else where a service is named ssdzoo.
    port: Annotated[int, option("Port; 0 is a free one.", min=0, max=65535, allow_from_autoenv=False)] = 8080,
    score: Annotated[float, option("Minimum score of a detection where a request gives none.", min=0, max=1)] = 0.5,
    backend: Annotated[str, option(BACKEND)] = "auto",
    precision: Precision = "auto",
    weights: Weights = None,
    mean: Mean = None,
    std: Std = None,
    classes: Classes = None,
    suppress: Suppress = None,
    gpus: Gpus = None,
    max_batch: Annotated[Optional[int], option(_MAX_BATCH, min=1, show_default="4, for fast networks")] = None,
    max_delay: Annotated[float, option("Milliseconds that an image waits for others of its batch.", min=0)] = 0.0,
    max_queue: Annotated[int, option("Requests that may wait; more are answered with 503.", min=1)] = 32,
) -> None:
    """Serve a detector over HTTP: a page to try it, a JSON API, metrics, and the contracts of SageMaker and KServe."""
    for package in ("starlette", "uvicorn", "python_multipart"):
        import_package(package, "serve")
    devices = prepare_backend(gpus, backend)
    from ssdzoo.model_source import resolve
    from ssdzoo.predict.load import open_source
    from ssdzoo.serve.limits import Limits
    from ssdzoo.serve.model import describe
    from ssdzoo.serve.server import bind, run
    from ssdzoo.serve.service import Service
    from ssdzoo.serve.worker import NetworkWorker

    source, listening = resolve(model, weights, mean, std, classes, suppress), bind(host, port)
    worker = NetworkWorker(lambda: open_source(source, backend, devices, precision), max_batch, max_delay / 1000)
    run(Service(worker, describe(source, worker.detector), score, Limits(requests=max_queue)), listening)
