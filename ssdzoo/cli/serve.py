"""`ssdzoo serve`: a detector as an HTTP server with a page."""

from typing import Annotated, Optional

from ssdzoo.cli.model_options import ModelChoice, with_model
from ssdzoo.cli.options import BACKEND, Gpus, Precision, option, prepare_backend
from ssdzoo.machine import import_package

_MAX_BATCH = (
    "Maximum number of waiting images in one call of the network, where a measurement at the start shows a gain. 1 turns batches "
    "off."
)


@with_model("choice", envvar="SSDZOO_MODEL")
def serve(
    choice: ModelChoice,
    host: Annotated[str, option("Address to listen on; 0.0.0.0 for access from other machines.")] = "127.0.0.1",
    # Kubernetes sets SSDZOO_PORT to something else where a service is named ssdzoo.
    port: Annotated[int, option("Port; 0 chooses a free one.", min=0, max=65535, allow_from_autoenv=False)] = 8080,
    score: Annotated[float, option("Minimum score of a detection, where a request names none.", min=0, max=1)] = 0.5,
    backend: Annotated[str, option(BACKEND)] = "auto",
    precision: Precision = "auto",
    gpus: Gpus = None,
    max_batch: Annotated[Optional[int], option(_MAX_BATCH, min=1, show_default="4, for fast networks")] = None,
    max_delay: Annotated[float, option("Milliseconds that an image waits for others to fill its batch.", min=0)] = 0.0,
    max_queue: Annotated[int, option("Requests that may wait; more are answered with 503.", min=1)] = 32,
) -> None:
    """Serve a detector over HTTP: a page to try it, a JSON API, metrics, and the contracts of SageMaker and KServe."""
    for package in ("starlette", "uvicorn", "python_multipart"):
        import_package(package, "serve")
    devices = prepare_backend(gpus, backend)
    from ssdzoo.predict.load import open_source
    from ssdzoo.serve.limits import Limits
    from ssdzoo.serve.model import describe
    from ssdzoo.serve.server import bind, run
    from ssdzoo.serve.service import Service
    from ssdzoo.serve.worker import NetworkWorker

    source, listening = choice.resolve(), bind(host, port)
    worker = NetworkWorker(lambda: open_source(source, backend, devices, precision), max_batch, max_delay / 1000)
    run(Service(worker, describe(source, worker.detector), score, Limits(requests=max_queue)), listening)
