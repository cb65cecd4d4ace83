"""The settings of a server: options of ``aria-db serve``, else the environment, else defaults."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from aria_db.errors import InvalidConfiguration
from aria_db.http.limits import WAIT_SECONDS, Limits
from aria_db.http.tokens import Token, parse

Number = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """What a server is started with; ``ARIA_DB_`` and a field's name are its variable.

    :func:`read` creates one. Where the database is stays with :mod:`aria_db.database`, which a
    deploy and a Python caller use without Pydantic.
    """

    model_config = SettingsConfigDict(env_prefix="ARIA_DB_", extra="ignore", frozen=True)

    token: str | None = None
    tokens: str | None = None
    actor_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = None
    root_path: str = ""
    max_body: Number = Limits.max_body
    body_timeout: Seconds = Limits.body_timeout
    connections: Number = Limits.connections
    connection_timeout: Seconds = Limits.connection_timeout
    wait: Annotated[float, Field(ge=0, allow_inf_nan=False)] = WAIT_SECONDS

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any, info: Any) -> Any:
        # But an empty token is refused: a secret that was not filled in must not open the API.
        is_unset = value == "" and info.field_name not in {"token", "tokens"}
        return cls.model_fields[info.field_name].default if is_unset else value

    @field_validator("root_path")
    @classmethod
    def _is_path(cls, path: str) -> str:
        if not re.fullmatch(r"(/[^/?#\s]+)*/?", path):
            raise ValueError("must be a path such as /api")
        return path.rstrip("/")

    @model_validator(mode="after")
    def _refuse_the_old_name_alone(self) -> Self:
        # A server that ignored it would be open to everybody.
        if not (self.token or self.tokens) and "ARIA_API_TOKEN" in os.environ:
            raise InvalidConfiguration(
                "ARIA_API_TOKEN was renamed: set ARIA_DB_TOKEN instead",
                hint="To serve without a token, unset ARIA_API_TOKEN.",
            )
        return self

    def known_tokens(self) -> tuple[Token, ...]:
        """Return the tokens of ARIA_DB_TOKENS.

        :raises InvalidConfiguration: as :func:`aria_db.http.tokens.parse`.
        """
        return () if self.tokens is None else parse(self.tokens)

    def limits(self) -> Limits:
        """Return how much the server takes on."""
        return Limits(**{field.name: getattr(self, field.name) for field in fields(Limits)})


def read(**options: float | str | None) -> Settings:
    """Return the settings of this process.

    :param options: what was given on the command line, by the names of the fields; None for
        what was not.
    :raises InvalidConfiguration: a value is no number or out of range, with the name of its
        variable or option; or the token has only its old name.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        # Without the input: one of them is a secret.
        wrong = error.errors(include_input=False)[0]
        name = str(wrong["loc"][0])
        where = f"--{name.replace('_', '-')}" if name in given else f"ARIA_DB_{name.upper()}"
        raise InvalidConfiguration(f"{where}: {wrong['msg']}") from None
