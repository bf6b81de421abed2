# One image for every subcommand: `serve`, `lora-sync`, `check`, `fake-vllm`, `kube-api`, `up`. Built from the checkout,
# without a network beyond the package index: `docker build -t endpoint-picker .`
#
# Everything is installed from wheels whose hashes are in the lock files. The build stage has all tools of `make check`
# and a C compiler, which makes libraries of the modules of a request's path (docs/compiled.md); the image has only what
# requirements-runtime.lock names.

FROM python:3.12 AS build
WORKDIR /src
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes --only-binary :all: --requirement requirements.lock
COPY requirements-runtime.lock ./
RUN python -m venv --without-pip /opt/epp \
 && pip --python /opt/epp/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
      --requirement requirements-runtime.lock
COPY pyproject.toml hatch_build.py README.md LICENSE NOTICE ./
COPY protos protos
COPY envoy envoy
COPY epp epp
RUN python protos/generate.py \
 && EPP_COMPILE=1 hatchling build --target wheel --directory /wheels \
 && pip --python /opt/epp/bin/python install --no-cache-dir --no-index --no-deps /wheels/*.whl

FROM python:3.12-slim
LABEL org.opencontainers.image.title="endpoint-picker" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/epp /opt/epp
# A volume that is mounted here belongs to the picker from its first use.
RUN install --directory --owner 65532 --group 65532 /etc/endpoints
# Nothing is written but to volumes and /tmp (`epp up`), so the root file system may be read-only.
ENV PATH=/opt/epp/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
# `serve`: ext_proc, gRPC health, metrics and debug pages; `lora-sync`: metrics and health
EXPOSE 9002 9003 9090 8080
ENTRYPOINT ["epp"]
CMD ["--help"]
