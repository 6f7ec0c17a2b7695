# A server of a trained model, whose folder is mounted:
#   docker build -t ser . && docker run -p 127.0.0.1:8000:8000 -v ./runs/<name>:/model:ro ser
# Without a GPU, an index with CPU builds of torch makes it several times smaller: --build-arg PIP_EXTRA_INDEX_URL=...
FROM python:3.12-slim

# ffmpeg decodes what libsndfile cannot: M4A, MP4, WebM, AMR.
RUN apt-get update && apt-get install -y --no-install-recommends ffmpeg && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY conf conf
COPY hydra_plugins hydra_plugins
COPY ser ser
ARG PIP_EXTRA_INDEX_URL
RUN pip install --no-cache-dir ".[serve,train]"

RUN useradd --create-home --uid 1000 ser
USER ser
WORKDIR /home/ser
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/ready', timeout=3)"]
# The server ends on SIGTERM, once what it accepted is answered.
CMD ["python", "-m", "ser.serve", "model=/model", "host=0.0.0.0"]
