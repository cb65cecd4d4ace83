# The image of the services migrate, api and prune; see docker-compose.yml.
FROM python:3.13-slim

RUN useradd --system --create-home aria
WORKDIR /srv/aria-db

COPY constraints.txt pyproject.toml README.md LICENSE alembic.ini ./
COPY aria_db aria_db
COPY migrations migrations
COPY sql sql
RUN pip install --no-cache-dir --constraint constraints.txt ".[cli,http]"

USER aria
CMD ["aria-db", "--help"]
