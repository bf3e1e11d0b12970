# A container that serves a detector on the CPU, with onnxruntime. From the checkout:
#
#     docker build -f tools/serve.Dockerfile -t ssdzoo-serve .
#     docker run --rm --read-only --tmpfs /tmp -p 8080:8080 -v "$PWD/runs/mine:/opt/ml/model:ro" ssdzoo-serve
#
# SageMaker takes it as it is: it unpacks model.tar.gz to /opt/ml/model, calls the container with the argument "serve", and asks
# for /ping and /invocations on port 8080. Options of `ssdzoo serve` are given as environment variables: -e SSDZOO_MEAN=0.
FROM python:3.11-slim

# opencv-python and mxnet need these libraries.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 libgomp1 libquadmath0 \
    && rm -rf /var/lib/apt/lists/*

COPY setup.py setup.cfg pyproject.toml README.md LICENSE /src/
COPY ssdzoo /src/ssdzoo
COPY presets /src/presets
COPY startup /src/startup
RUN pip install --no-cache-dir "/src[onnx,serve]" && rm -rf /src

RUN useradd --create-home --uid 1000 ssdzoo
USER ssdzoo
WORKDIR /home/ssdzoo

# Options of `ssdzoo serve`; the model's folder may be read-only, so the ONNX file that is made of it goes to /tmp.
ENV SSDZOO_MODEL=/opt/ml/model \
    SSDZOO_HOST=0.0.0.0 \
    SSDZOO_BACKEND=onnxruntime \
    SSDZOO_CACHE=/tmp/ssdzoo \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONUNBUFFERED=1

EXPOSE 8080
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/readyz')"]
ENTRYPOINT ["ssdzoo"]
CMD ["serve"]
