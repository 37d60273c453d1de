# datagen and trainer in one image.
#
#   docker build -t motion-hmr .                                      # PyTorch for the CPU
#   docker build -t motion-hmr --build-arg TORCH_INDEX= .             # PyTorch with CUDA, from PyPI
#   docker run --rm -v "$PWD/out:/out" motion-hmr datagen.launch --num-shards 2 --out /out/shards
#   docker run --rm --gpus all --shm-size 8g -v "$PWD:/data" motion-hmr trainer.fit --shards /data/shards
ARG BASE=python:3.13-slim-bookworm
FROM ${BASE}
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
WORKDIR /opt/motion-hmr
# Packages first, as they change less often than the code. torch.compile needs gcc.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        gcc libc6-dev libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri \
    && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml constraints.txt setup.sh LICENSE README.md ./
COPY datagen datagen
COPY trainer trainer
RUN PIP_EXTRA_INDEX_URL=${TORCH_INDEX} bash setup.sh
COPY . .
RUN useradd --uid 10001 --create-home motion && mkdir /out && chown motion /out
USER 10001
WORKDIR /home/motion
ENV PATH=/opt/motion-hmr/.venv/bin:$PATH
ENTRYPOINT ["python", "-m"]
CMD ["datagen"]
