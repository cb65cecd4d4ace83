"""The HTTP interface: FastAPI over :class:`aria_db.session_manager.NativeSessionManager`.

``app`` makes the application, ``server`` runs it, ``router`` has the routes of the sessions,
``requests`` and ``answers`` what callers send and get, ``problems`` how errors are answered,
``middleware`` what every request passes, ``health`` the health check, and ``limits`` how much a
server takes on, and ``settings`` what the environment sets.
"""
