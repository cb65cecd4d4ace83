"""The HTTP interface: FastAPI over :class:`aria_db.session_manager.NativeSessionManager`.

``app`` makes the application, ``server`` runs it, ``routes`` and ``schemas`` are what
callers see, ``problems`` is how errors are told, ``auth`` asks for the token, ``limits`` is
how much a server takes on, and ``bodies`` refuses what is more.
"""
